//! Asks the server for what the plan depends on: the listing, then sizes and headers as far as they decide something.

use std::collections::HashSet;

use super::batch::{Slot, some_works};
use super::retry::{Quirk, Retry, ServerQuirks, SessionError, is_nonsense};
use super::survey::{PlanInputs, Survey, Wanting};
use super::{Job, copies, headers};
use crate::client::{Broken, Transaction};
use crate::error::Result;
use crate::journal::{Found, Memory};
use crate::mail::{HeaderIdentity, UniqueId};
use crate::monitor::Phase;
use crate::plan::{ListingIndex, Rules};

/// What it takes to survey a maildrop. Nothing is changed, here or there.
pub(super) struct Surveyor<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) transaction: &'a mut Transaction,
    pub(super) destinations: &'a mut [Slot],
    pub(super) memory: &'a Memory,
    pub(super) rules: &'a Rules,
    pub(super) quirks: ServerQuirks,
    /// What the run has stored already, where it stores everything.
    pub(super) stored_again: &'a HashSet<UniqueId>,
}

impl Surveyor<'_> {
    /// Lists the maildrop and plans what to do with each message.
    pub(super) fn survey(mut self) -> Result<Survey, SessionError> {
        let mut phases = self.job.phases();
        phases.begin(Phase::List);
        let memory = self.memory;
        // Where nothing is remembered, everything is new.
        let wants_sizes = memory.is_empty();
        let listing = self
            .transaction
            .list(!self.quirks.no_pipelining, wants_sizes)?;
        let mut inputs = PlanInputs {
            destinations: self.job.destinations(self.destinations, memory),
            found: Found::default(),
            rules: self.rules,
            stored_again: self.job.all.then_some(self.stored_again),
            now: self.job.environment.now(),
        };
        let mut survey = Survey::new(listing, memory, &inputs);
        if survey.has_changed(memory) {
            if !survey.listing.has_sizes() {
                self.transaction.add_sizes(&mut survey.listing)?;
            }
            survey.compare_sizes();
            survey.update(memory, &inputs);
        }
        let missing = survey.missing_copies(memory);
        if !missing.is_empty() {
            inputs.found = copies::look(self.job, self.destinations, &missing)?;
            some_works(self.destinations)?;
            survey.update(memory, &inputs);
        }
        if self.add_sizes(&mut survey)? {
            survey.update(memory, &inputs);
        }
        if self.add_headers(&mut survey)? {
            survey.update(memory, &inputs);
        }
        Ok(survey)
    }

    /// Asks for the sizes that the plan depends on; whether there are any.
    fn add_sizes(&mut self, survey: &mut Survey) -> Result<bool> {
        if survey.listing.has_sizes() {
            return Ok(false);
        }
        match survey.wanting_sizes() {
            Wanting::These(numbers) if numbers.is_empty() => return Ok(false),
            Wanting::These(numbers) if !self.job.dry_run => {
                self.transaction
                    .add_sizes_of(&mut survey.listing, &numbers)?;
            }
            // In a dry run a person looks at all of them.
            Wanting::These(_) | Wanting::All => self.transaction.add_sizes(&mut survey.listing)?,
        }
        Ok(true)
    }

    /// Asks for the headers of what is to be deleted unfetched; whether there are any.
    fn add_headers(&mut self, survey: &mut Survey) -> Result<bool, SessionError> {
        let wanting = survey.wanting_headers();
        if wanting.is_empty() {
            return Ok(false);
        }
        if self.transaction.offers_top() == Some(false) {
            survey.lack_headers(&wanting);
            return Ok(true);
        }
        let is_comparable = |index: &ListingIndex| {
            !self.quirks.no_headers && survey.knows_header(*index, self.memory)
        };
        let (comparable, others): (Vec<_>, Vec<_>) = wanting.into_iter().partition(is_comparable);
        match self.read_headers(survey, &comparable)? {
            Some(headers) => {
                for (index, header) in comparable.into_iter().zip(headers) {
                    survey.add_header(index, header, self.memory);
                }
            }
            None => survey.lack_headers(&comparable),
        }
        for index in others {
            survey.add_header(index, None, self.memory);
        }
        Ok(true)
    }

    /// The headers of these messages; none where it turns out that the server has no TOP.
    fn read_headers(
        &mut self,
        survey: &Survey,
        indices: &[ListingIndex],
    ) -> Result<Option<Vec<Option<HeaderIdentity>>>, SessionError> {
        // Where the server does not say that it has TOP, one header shows it.
        let trial = match self.transaction.offers_top() {
            None => indices.len().min(1),
            Some(_) => 0,
        };
        let probes_by_uid = !self.quirks.no_single_uidl;
        let mut read = |indices: &[ListingIndex]| {
            headers::read(self.transaction, survey, indices, probes_by_uid)
                .map_err(unreliable_headers)
        };
        let (first, rest) = indices.split_at(trial);
        let mut headers = read(first)?;
        if headers.first() == Some(&None) {
            return Ok(None);
        }
        headers.extend(read(rest)?);
        Ok(Some(headers))
    }
}

/// Headers whose answers make no sense are not asked for in the next session.
fn unreliable_headers(broken: Broken) -> SessionError {
    let error = SessionError::from(broken.failure);
    if !is_nonsense(&error.failure) {
        return error;
    }
    SessionError {
        retry: Retry::Once,
        quirk: Some(Quirk::Headers),
        ..error
    }
}
