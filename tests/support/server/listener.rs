//! Takes connections, gives each a thread, and ends them all when the server ends.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Tells the threads of a server that it ends.
#[derive(Default)]
pub(in crate::support) struct Stop {
    state: Mutex<Connections>,
    bell: Condvar,
}

#[derive(Default)]
struct Connections {
    stopping: bool,
    open: HashMap<u64, TcpStream>,
    threads: Vec<JoinHandle<()>>,
}

impl Stop {
    /// Waits so long, or until the server ends; whether it does.
    pub(in crate::support) fn wait(&self, time: Duration) -> bool {
        let (state, _) = self
            .bell
            .wait_timeout_while(self.lock(), time, |state| !state.stopping)
            .unwrap_or_else(PoisonError::into_inner);
        state.stopping
    }

    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A listening socket on 127.0.0.1 and the thread that serves it.
pub(in crate::support) struct Listener {
    address: SocketAddr,
    stop: Arc<Stop>,
    accepting: Option<JoinHandle<()>>,
}

impl Listener {
    /// Calls `serve` for each connection, in a thread of its own.
    pub(in crate::support) fn start(
        serve: impl Fn(TcpStream, &Stop) + Send + Sync + 'static,
    ) -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on 127.0.0.1");
        let address = socket.local_addr().expect("a bound socket has an address");
        let stop = Arc::new(Stop::default());
        let for_threads = Arc::clone(&stop);
        let serve = Arc::new(serve);
        let accepting = std::thread::spawn(move || {
            for (id, stream) in (0..).zip(socket.incoming()) {
                let Ok(stream) = stream else { continue };
                if for_threads.lock().stopping {
                    return;
                }
                begin(id, stream, &for_threads, &serve);
            }
        });
        Listener {
            address,
            stop,
            accepting: Some(accepting),
        }
    }

    pub(in crate::support) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every connection and waits for the threads. A panic of one of them is passed on.
    pub(in crate::support) fn stop(&mut self) {
        let Some(accepting) = self.accepting.take() else {
            return;
        };
        {
            let mut state = self.stop.lock();
            state.stopping = true;
            for stream in state.open.values() {
                // It may be closed already.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.stop.bell.notify_all();
        // Wakes the thread that accepts; whether the connection succeeds does not matter.
        let _ = TcpStream::connect(self.address);
        let mut ended = vec![accepting.join()];
        let threads = std::mem::take(&mut self.stop.lock().threads);
        ended.extend(threads.into_iter().map(JoinHandle::join));
        if let Some(Err(panic)) = ended.into_iter().find(Result::is_err)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves one connection in a thread. A second handle of it is kept so that it can be cut off; it
/// goes when the session is over, since a connection only ends with its last handle.
fn begin<F>(id: u64, stream: TcpStream, stop: &Arc<Stop>, serve: &Arc<F>)
where
    F: Fn(TcpStream, &Stop) + Send + Sync + 'static,
{
    let Ok(handle) = stream.try_clone() else {
        return;
    };
    let mut state = stop.lock();
    state.open.insert(id, handle);
    let (stop, serve) = (Arc::clone(stop), Arc::clone(serve));
    state.threads.push(std::thread::spawn(move || {
        serve(stream, &stop);
        stop.lock().open.remove(&id);
    }));
}
