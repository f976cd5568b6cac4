# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_popfetch_global_optspecs
    string join \n config= v/verbose q/quiet color= h/help V/version
end

function __fish_popfetch_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_popfetch_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_popfetch_using_subcommand
    set -l cmd (__fish_popfetch_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c popfetch -n "__fish_popfetch_needs_command" -l config -d 'Read this configuration file instead of the default' -r -F
complete -c popfetch -n "__fish_popfetch_needs_command" -l color -d 'Use colors: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_needs_command" -s v -l verbose -d 'Show each step; twice (-vv), also the dialogue with the server'
complete -c popfetch -n "__fish_popfetch_needs_command" -s q -l quiet -d 'Print only errors'
complete -c popfetch -n "__fish_popfetch_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c popfetch -n "__fish_popfetch_needs_command" -s V -l version -d 'Print version'
complete -c popfetch -n "__fish_popfetch_needs_command" -f -a "sync" -d 'Retrieve new mail, then apply the retention rule'
complete -c popfetch -n "__fish_popfetch_needs_command" -f -a "login" -d 'Log in and store an account\'s password in the key ring'
complete -c popfetch -n "__fish_popfetch_needs_command" -f -a "logout" -d 'Remove an account\'s password from the key ring'
complete -c popfetch -n "__fish_popfetch_needs_command" -f -a "state" -d 'Correct what popfetch remembers'
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l to -d 'Deliver to maildir:PATH, mbox:PATH, mbox:- (standard output) or pipe:COMMAND' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l leave-on-server -d 'How long stored messages stay on the server: always, never, or a time such as 30d' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l url -d 'Use an account that is not configured, such as pops://alice@pop.example.com' -r -f
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l password-file -d 'With --url: read the password from this file' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l password-command -d 'With --url: use the first line that this command prints as the password' -r -f -a "(__fish_complete_command)"
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l ca-file -d 'Also trust the certificate authorities in this file (PEM)' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l limit -d 'Retrieve at most N messages in this run, the oldest first' -r
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l max-size -d 'Leave larger messages for later: 500kB, 10MB (without a unit, bytes)' -r
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -s j -l jobs -d 'Process N accounts at the same time, at most four of them on one server' -r
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l config -d 'Read this configuration file instead of the default' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l color -d 'Use colors: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -s n -l dry-run -d 'Show exactly what a run would do; change nothing here or on the server'
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l all -d 'Also retrieve messages that were stored before, and store them again'
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -l json -d 'Print one JSON object per account to standard output, each on a line'
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -s v -l verbose -d 'Show each step; twice (-vv), also the dialogue with the server'
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -s q -l quiet -d 'Print only errors'
complete -c popfetch -n "__fish_popfetch_using_subcommand sync" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -l config -d 'Read this configuration file instead of the default' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -l color -d 'Use colors: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -s v -l verbose -d 'Show each step; twice (-vv), also the dialogue with the server'
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -s q -l quiet -d 'Print only errors'
complete -c popfetch -n "__fish_popfetch_using_subcommand login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c popfetch -n "__fish_popfetch_using_subcommand logout" -l config -d 'Read this configuration file instead of the default' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand logout" -l color -d 'Use colors: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand logout" -s v -l verbose -d 'Show each step; twice (-vv), also the dialogue with the server'
complete -c popfetch -n "__fish_popfetch_using_subcommand logout" -s q -l quiet -d 'Print only errors'
complete -c popfetch -n "__fish_popfetch_using_subcommand logout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from mark-seen" -l config -d 'Read this configuration file instead of the default' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from mark-seen" -l color -d 'Use colors: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from mark-seen" -s v -l verbose -d 'Show each step; twice (-vv), also the dialogue with the server'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from mark-seen" -s q -l quiet -d 'Print only errors'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from mark-seen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and not __fish_seen_subcommand_from mark-seen" -f -a "mark-seen" -d 'Mark messages as seen, so that sync does not retrieve them'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from mark-seen" -l config -d 'Read this configuration file instead of the default' -r -F
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from mark-seen" -l color -d 'Use colors: auto, always or never' -r -f -a "auto\t''
always\t''
never\t''"
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from mark-seen" -l all -d 'Mark every message that the server lists now'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from mark-seen" -l json -d 'Print a JSON object to standard output'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from mark-seen" -s v -l verbose -d 'Show each step; twice (-vv), also the dialogue with the server'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from mark-seen" -s q -l quiet -d 'Print only errors'
complete -c popfetch -n "__fish_popfetch_using_subcommand state; and __fish_seen_subcommand_from mark-seen" -s h -l help -d 'Print help (see more with \'--help\')'

# The names of accounts, out of the configuration: those that need no quoting in a shell.
function __fish_popfetch_accounts
    set -q XDG_CONFIG_HOME; and set -l file $XDG_CONFIG_HOME/popfetch/config.toml
    or set -l file ~/.config/popfetch/config.toml
    set -l before
    for word in (commandline -opc)
        if test "$before" = --config
            set file (string replace -r '^~' ~ -- $word)
        else if string match -q -- '--config=*' $word
            set file (string replace -- '--config=' '' $word)
        end
        set before $word
    end
    sed -n -e 's/^[[:space:]]*\[[[:space:]]*accounts[[:space:]]*\.[[:space:]]*\([A-Za-z0-9_-]\{1,\}\)[[:space:]]*\].*/\1/p' \
        -e 's/^[[:space:]]*\[[[:space:]]*accounts[[:space:]]*\.[[:space:]]*[^][:space:]A-Za-z0-9_-]\([A-Za-z0-9_.@+-]\{1,\}\)[^][:space:]A-Za-z0-9_-][[:space:]]*\].*/\1/p' -- $file 2>/dev/null
end
for verb in sync login logout mark-seen
    complete -c popfetch -n "__fish_seen_subcommand_from $verb" -f -a "(__fish_popfetch_accounts)"
end
