//! The behaviours that users rely on, one function each, run through the engine over any store.
//!
//! [`engine_behaviours!`](crate::engine_behaviours) expands into one named test per behaviour.

pub mod callbacks;
pub mod claims;
pub mod clock_steps;
pub mod dictionaries;
pub mod expiry;
pub mod kinds;
pub mod lists;
pub mod mismatches;
pub mod pairs;
pub mod policies;
pub mod reads;
pub mod replication;
pub mod set_aside;
pub mod stats;
pub mod strategies;
pub mod sweeps;
pub mod transfer;
pub mod watches;
pub mod writes;

use crate::conformance::{NewSubject, Running};
use crate::{START, Subject};
use memlife_core::policy::{PolicyFile, RuleSet};
use memlife_core::store::Limits;
use memlife_core::{Entry, ImportReport, ListContent, ListOptions, ManualClock, Memory, Policy, Ttl};
use std::sync::Arc;
use std::time::Duration;

/// A memory over a subject's store, under a clock that moves when told.
pub struct Bench<'a> {
    subject: &'a dyn Subject,
    /// The clock.
    pub clock: Arc<ManualClock>,
    /// The memory, under the built-in rules.
    pub memory: Memory,
}

impl<'a> Bench<'a> {
    /// Opens the subject's store.
    pub async fn open(subject: &'a dyn Subject) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let memory = Bench::assemble(subject, &clock, Arc::new(RuleSet::built_in())).await;
        Bench { subject, clock, memory }
    }

    /// Another memory on the same records and clock, under this policy file.
    pub async fn under(&self, policy: &str) -> Memory {
        let file = PolicyFile::parse(policy, "test").unwrap();
        Bench::assemble(self.subject, &self.clock, Arc::new(file.rules)).await
    }

    /// Another memory on the same records and clock.
    pub async fn beside(&self) -> Memory {
        Bench::assemble(self.subject, &self.clock, Arc::new(RuleSet::built_in())).await
    }

    /// Another memory on the same records, under a clock of its own.
    pub async fn with_clock(&self, clock: &Arc<ManualClock>) -> Memory {
        Bench::assemble(self.subject, clock, Arc::new(RuleSet::built_in())).await
    }

    /// A memory on a fresh store, under the same clock, that takes `writes` at once; on this one where a store has no
    /// such limit.
    pub async fn in_batches_of(&self, writes: usize) -> Memory {
        let limits = Limits { batch_writes: writes, ..Limits::default() };
        let store = match self.subject.open_limited(limits).await {
            Some(store) => store,
            None => self.subject.open().await,
        };
        Memory::builder(store).clock(self.clock.clone()).build().unwrap()
    }

    /// Lets time pass.
    pub fn pass(&self, duration: &str) {
        self.clock.advance(ttl(duration).duration());
    }

    /// Every key a list shows, in order.
    pub async fn keys(&self, options: ListOptions) -> Vec<String> {
        all(&self.memory, options).await.into_iter().map(|entry| entry.key.to_string()).collect()
    }

    async fn assemble(subject: &dyn Subject, clock: &Arc<ManualClock>, policy: Arc<dyn Policy>) -> Memory {
        Memory::builder(subject.open().await).clock(clock.clone()).policy(policy).build().unwrap()
    }
}

/// A TTL as people write it.
pub fn ttl(text: &str) -> Ttl {
    text.parse().unwrap()
}

/// The text that a key holds.
pub async fn text(memory: &Memory, key: &str) -> Option<String> {
    memory.get::<String>(key).await.unwrap()
}

/// The lines of an export.
pub async fn exported(memory: &Memory, options: ListOptions) -> Vec<String> {
    let mut export = memory.export(options);
    let mut lines = Vec::new();
    while let Some(line) = export.next().await.unwrap() {
        lines.push(serde_json::to_string(&line).unwrap());
    }
    lines
}

/// What a merge needs of everything, in the lines of an export.
pub async fn states(memory: &Memory) -> Vec<String> {
    exported(memory, ListOptions::new().content(ListContent::State)).await
}

/// Imports the lines.
pub async fn import(memory: &Memory, lines: &[String]) -> ImportReport {
    let mut import = memory.import();
    for line in lines {
        import.line(line).await.unwrap();
    }
    import.finish().await.unwrap()
}

/// Every entry a list shows, in order.
pub async fn all(memory: &Memory, options: ListOptions) -> Vec<Entry> {
    let mut listing = memory.list(options);
    let mut entries = Vec::new();
    while let Some(entry) = listing.next().await.unwrap() {
        entries.push(entry);
        assert!(entries.len() < 1_000_000, "the list never ends");
    }
    entries
}

/// Runs one behaviour on a fresh subject.
///
/// # Panics
/// Where the engine does not behave so.
pub fn run(subject: NewSubject, behaviour: &dyn for<'a> Fn(&'a dyn Subject) -> Running<'a>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let subject = subject.await;
        tokio::time::timeout(Duration::from_secs(300), behaviour(&*subject)).await.unwrap();
    });
}

/// Calls the macro `$then` of this crate with `$arguments` and the lists of all behaviours and pairs.
#[macro_export]
#[doc(hidden)]
macro_rules! with_engine_behaviours {
    ($then:ident! $arguments:tt) => {
        $crate::$then! { $arguments
            {
                callbacks: a_panic_in_an_update_loses_nothing_and_counts_nothing,
                callbacks: an_update_that_loses_the_race_runs_again,
                claims: one_of_many_holds_a_claim,
                claims: of_many_at_once_one_gets_it,
                claims: a_claim_lasts_as_long_as_it_is_renewed,
                claims: late_writes_of_a_former_holder_are_fenced_off,
                claims: a_claim_that_nobody_sees_is_not_asked_for_for_ever,
                clock_steps: an_hour_back_keeps_the_order_of_writes,
                clock_steps: an_hour_back_revives_nothing,
                clock_steps: an_hour_back_for_another_process_revives_nothing,
                clock_steps: an_hour_forward_and_back_keeps_the_order_of_writes,
                clock_steps: extreme_dates_are_survived,
                clock_steps: a_clock_that_jumps_ahead_makes_sweeps_pause,
                dictionaries: a_trained_dictionary_halves_small_values,
                dictionaries: a_dictionary_is_kept_only_for_a_gain,
                dictionaries: copies_name_no_dictionary_of_another_store,
                expiry: a_past_deadline_is_accepted_invisible_and_told_as_expired,
                expiry: a_read_without_renewal_renews_nothing_even_in_a_batch,
                expiry: a_renewing_read_renews_and_coalesces,
                expiry: an_impossible_ttl_is_refused_on_every_path,
                expiry: an_update_keeps_or_resets_the_ttl_as_asked,
                expiry: every_expired_entry_is_hidden_from_every_read,
                expiry: expiry_of_the_newest_value_brings_no_older_one_back,
                expiry: limits_of_the_rule_clamp_and_the_receipt_says_so,
                expiry: reading_never_revives_an_expired_entry,
                expiry: touch_sets_extends_and_shortens_exactly,
                expiry: touching_never_revives,
                expiry: a_rule_that_counts_from_creation_is_not_renewed_by_writes,
                kinds: a_growing_counter_refuses_to_go_down,
                kinds: a_set_holds_each_element_once,
                kinds: a_flag_is_on_off_or_never_set,
                kinds: extremes_keep_the_best_number,
                kinds: a_map_holds_fields_of_several_kinds,
                kinds: a_put_to_a_map_merges_its_fields,
                kinds: an_update_of_a_map_keeps_the_fields_it_keeps,
                kinds: concurrent_insertions_and_fields_all_stay,
                lists: a_prefix_covers_whole_segments_only,
                lists: deleting_within_a_prefix_touches_nothing_else,
                lists: keys_that_look_alike_stay_distinct,
                lists: pages_come_in_key_order_without_gaps,
                lists: pattern_characters_in_keys_are_literal,
                lists: wildcards_select_segments,
                lists: peeking_shows_expired_entries,
                mismatches: a_handle_of_another_kind_is_told_what_the_key_holds,
                mismatches: a_handle_of_another_kind_than_the_rule_creates_nothing,
                mismatches: a_put_of_another_type_is_told_what_the_key_holds,
                mismatches: a_write_to_a_field_of_another_kind_is_told_what_it_holds,
                pairs: insertion_and_removal_of_one_element,
                pairs: insertion_and_removal_where_removals_win,
                pairs: enabling_and_disabling_where_enabling_wins,
                pairs: enabling_and_disabling_where_disabling_wins,
                pairs: removal_of_a_field_and_addition_to_it,
                pairs: two_kinds_of_one_field,
                pairs: change_of_kind_and_write,
                pairs: change_of_kind_and_change_of_kind,
                pairs: a_write_from_the_future,
                policies: a_changed_policy_reaches_stored_entries_when_applied,
                policies: applying_converts_kinds,
                policies: applying_keeps_what_callers_set_and_revives_nothing,
                policies: applying_twice_changes_nothing_more,
                reads: another_handle_sees_writes_and_deletes_at_once,
                reads: bytes_and_json_come_back_as_they_were_put,
                reads: large_values_are_compressed_and_come_back,
                reads: a_value_of_another_type_is_a_type_mismatch,
                reads: a_value_above_the_limit_is_refused_and_nothing_changes,
                reads: system_keys_are_hidden,
                replication: both_sides_come_to_the_same,
                replication: a_quiet_sync_sends_and_writes_nothing,
                replication: a_ring_of_three_falls_silent,
                replication: a_pattern_and_a_rule_select_what_goes,
                replication: a_copy_brings_everything_and_leaves_no_trace,
                replication: the_dead_wait_for_replicas,
                replication: a_replica_away_for_long_brings_nothing_back,
                replication: what_a_third_store_brought_meanwhile_arrives,
                replication: what_a_rule_kept_back_is_sent_when_the_rule_goes,
                replication: a_removal_elsewhere_reaches_third_stores,
                replication: what_was_renewed_meanwhile_arrives,
                replication: what_is_dead_is_never_gone,
                replication: a_run_that_stops_in_the_middle_forgets_no_meeting,
                replication: a_replica_away_for_a_while_is_told_what_was_deleted,
                replication: a_replica_ahead_of_its_time_waits,
                replication: a_refused_record_is_told_and_holds_up_nothing,
                replication: a_damaged_record_holds_up_nothing,
                replication: what_was_refused_is_tried_again,
                set_aside: a_record_from_a_far_future_is_refused,
                set_aside: a_record_from_the_future_waits_for_its_time,
                set_aside: records_from_the_future_are_merged_in_order,
                set_aside: what_loses_to_another_kind_is_set_aside,
                set_aside: what_was_set_aside_can_be_read_and_put,
                stats: each_removal_is_counted_once_with_its_cause,
                stats: groups_and_totals_follow_what_is_visible,
                stats: what_expires_when_is_counted,
                stats: feeds_tell_puts_deletes_and_expiries,
                strategies: a_counter_adds_and_updates_set,
                strategies: concurrent_additions_all_count,
                strategies: a_counter_refuses_what_is_no_integer,
                strategies: siblings_stand_until_somebody_who_saw_them_resolves,
                strategies: a_named_writer_replaces_its_own_sibling,
                strategies: siblings_are_capped_and_the_receipt_says_so,
                strategies: the_stored_kind_stays_until_the_policy_is_applied,
                strategies: a_registered_strategy_resolves,
                sweeps: a_dry_run_removes_nothing_and_counts_the_same,
                sweeps: a_limit_a_scope_and_a_budget_hold,
                sweeps: manual_rules_go_only_when_forced,
                sweeps: many_pages_are_swept_whole,
                sweeps: reading_an_expired_lazy_entry_frees_it,
                sweeps: reports_are_kept_and_bounded,
                sweeps: the_expired_half_goes_and_the_living_half_stays,
                sweeps: tombstones_go_after_their_keep,
                transfer: a_counter_is_not_imported_over,
                transfer: a_second_import_changes_nothing,
                transfer: an_export_comes_back_whole,
                transfer: bad_lines_are_named_and_the_rest_goes_on,
                watches: a_watch_tells_what_happens_and_why,
                watches: a_snapshot_comes_first,
                watches: a_watch_goes_on_from_a_cursor,
                watches: an_unknown_cursor_is_a_gap,
                watches: a_write_wakes_a_watch,
                watches: a_snapshot_has_no_cursor_before_its_end,
                watches: a_snapshot_that_failed_goes_on,
                watches: a_watch_reads_past_what_does_not_match,
                watches: a_deletion_is_told_once,
                watches: changes_from_now_on_are_waited_for,
                watches: a_change_that_cannot_be_read_is_passed_over,
                writes: a_guard_on_absence_lets_one_of_many_win,
                writes: a_guard_on_a_version_refuses_and_shows_what_is_there,
                writes: a_touch_keeps_the_version,
                writes: an_older_timestamp_is_superseded,
                writes: deleting_and_creating_anew_repeats_no_version,
                writes: every_acknowledged_write_of_two_handles_is_there,
                writes: overwriting_ten_keys_for_long_keeps_ten_entries,
                writes: durability_beyond_the_stores_is_refused,
            }
            {
                write_and_write,
                write_and_delete,
                write_and_newer_delete,
                delete_and_delete,
                write_and_expiry,
                refresh_and_expiry,
                refresh_and_refresh,
                refresh_and_write,
                creation_and_creation,
                refresh_and_delete,
                refresh_and_rewriting_after_expiry,
                write_and_rewriting_after_expiry,
                set_ttl_and_refresh,
                set_ttl_and_set_ttl,
                delete_and_expiry,
            }
        }
    };
}

/// The behaviours as plain functions. A future is compiled where it is boxed: here, once, and not with each store.
#[macro_export]
#[doc(hidden)]
macro_rules! boxed_engine_behaviours {
    (() { $($area:ident: $behaviour:ident,)* } { $($pair:ident,)* }) => {
        #[doc(hidden)]
        #[allow(missing_docs, reason = "each is described where it is written")]
        pub mod boxed {
            use super::pairs::Family;
            use $crate::Subject;
            use $crate::conformance::Running;

            $(pub fn $behaviour(subject: &dyn Subject) -> Running<'_> {
                Box::pin(super::$area::$behaviour(subject))
            })*

            $(pub fn $pair(subject: &dyn Subject, family: Family) -> Running<'_> {
                Box::pin(super::pairs::$pair(subject, family))
            })*
        }
    };
}

crate::with_engine_behaviours! { boxed_engine_behaviours! () }

/// Expands into one test per behaviour of the engine over the store that the factory makes.
#[macro_export]
macro_rules! engine_behaviours {
    ($name:ident, $factory:expr) => {
        $crate::with_engine_behaviours! { engine_tests! ($name, $factory) }
    };
}

#[macro_export]
#[doc(hidden)]
macro_rules! engine_tests {
    (($name:ident, $factory:expr) { $($area:ident: $behaviour:ident,)* } { $($pair:ident,)* }) => {
        mod $name {
            #[allow(unused_imports, reason = "the expression may use what its module imports")]
            use super::*;

            $crate::new_subject! { $factory }

            $(#[test]
            fn $behaviour() {
                $crate::engine::run(subject(), &$crate::engine::boxed::$behaviour);
            })*

            $(mod $pair {
                $crate::engine_tests! { @families $pair;
                    of_a_register: Register,
                    of_values: Values,
                    of_a_counter: Counter,
                    of_a_growing_counter: GrowingCounter,
                    of_a_set: Set,
                    of_denials: Denials,
                    of_the_greatest: Greatest,
                    of_the_least: Least,
                    of_a_flag_that_enabling_wins: Enabling,
                    of_a_flag_that_disabling_wins: Disabling,
                    of_fields: Fields,
                    of_one_field: Field,
                    of_a_sum_in_a_field: FieldSum,
                }
            })*
        }
    };
    (@families $pair:ident; $($name:ident: $family:ident,)*) => {
        $(#[test]
        fn $name() {
            use $crate::engine::{boxed, pairs::Family, run};
            run(super::subject(), &|subject| boxed::$pair(subject, Family::$family));
        })*
    };
}
