/// Calls the macro `$then` of this crate with `$arguments` and the list of all behaviours.
#[macro_export]
#[doc(hidden)]
macro_rules! with_behaviours {
    ($then:ident! $arguments:tt) => {
        $crate::$then! { $arguments
            batches (Nothing) {
                outcomes_come_in_order
                later_writes_see_earlier_ones
                additions_in_one_batch_add_up
                a_failing_write_fails_alone
                an_error_names_its_key
                an_empty_batch_does_nothing
                a_batch_leaves_no_holes
                a_thousand_writes
                too_high_a_durability_is_refused
                the_highest_durability_is_given
                concurrent_batches_keep_their_outcomes
            }
            bounds (Nothing) {
                overwrites_leave_nothing_behind
                the_due_list_holds_each_entry_once
                deletions_leave_one_record_per_key
                states_stay_small
                large_values_are_given_back
            }
            changes (Nothing) {
                items_come_in_the_order_of_seq
                only_the_latest_state_is_told
                the_empty_cursor_is_the_beginning
                no_cursor_is_from_now_on
                every_end_is_told
                touches_are_told
                a_consumer_goes_on_where_it_stopped
                the_head_is_empty_and_stays_good
                a_foreign_cursor_is_a_gap
                a_cursor_carries_the_incarnation
                a_wait_ends_with_the_first_change
                a_wait_without_changes_ends_empty
                news_at_hand_are_not_waited_for
                system_keys_are_not_told
                a_feed_gives_what_is_wanted
                a_scan_and_the_feed_tell_everything
            }
            counters (Nothing) {
                puts_add_up
                additions_create_and_subtract
                an_addition_hands_back_the_new_value
                an_assignment_sets
                a_deletion_starts_at_zero
                an_expiry_starts_at_zero
                an_overflow_leaves_value_and_neighbours
                what_is_no_integer_is_a_type_mismatch
                the_stored_kind_stays
                a_dead_entry_does_not_bind_the_kind
                additions_renew_the_rules_ttl
                concurrent_additions_lose_nothing
            }
            due (Nothing) {
                classes_are_apart
                the_oldest_comes_first
                until_is_inclusive
                equal_instants_are_paged
                permanent_entries_are_never_due
                tombstones_are_due_after_their_keep
                the_list_follows_every_change
                an_entry_tells_its_size
                nothing_is_due_in_an_empty_store
            }
            erasure (Nothing) {
                an_erasure_leaves_a_removal
                erasing_nothing_changes_nothing
                causes_are_counted_once
                what_was_overwritten_is_not_erased
                what_was_touched_is_not_erased
                a_locator_is_a_hint_only
                a_large_page_is_exact
                erasures_among_other_writes_keep_their_order
                a_page_erases_each_entry_once
                an_erased_key_can_be_written_again
            }
            expiry (Nothing) {
                a_permanent_entry_stays
                an_entry_lives_exactly_its_ttl
                the_longest_ttl_works
                an_instant_is_kept_exactly
                a_past_deadline_is_accepted_and_invisible
                a_put_starts_the_expiry_anew
                keep_leaves_the_expiry
                keep_without_an_entry_takes_the_rules_ttl
                the_origin_is_kept
                a_step_back_revives_nothing
                a_step_back_after_a_touch_revives_nothing
                a_ttl_after_a_step_back_counts_from_the_stamp
                a_put_over_an_expired_entry_counts_it_once
                an_expired_entry_is_handed_out_as_stored
                a_deletion_leaves_the_life
            }
            gets (Nothing) {
                one_slot_per_key_in_order
                no_keys_give_no_slots
                heads_come_without_bodies
                tombstones_are_handed_out
                a_thousand_keys_at_once
            }
            guards (Nothing) {
                any_creates_and_replaces
                absent_holds_over_nothing
                absent_is_refused_over_a_living_entry
                absent_holds_over_an_expired_entry
                absent_holds_over_a_tombstone
                a_claim_is_taken_once_until_it_expires
                visible_holds_over_a_living_entry
                visible_is_refused_over_nothing
                visible_is_refused_over_dead_entries
                version_holds_for_the_present_content
                version_is_refused_after_another_write
                version_is_refused_over_dead_entries
                version_is_refused_for_a_number_never_given_out
                due_holds_from_the_instant_on
                a_refusal_changes_nothing
                a_reply_shows_as_much_as_was_asked_for
            }
            handles (Nothing) {
                both_are_the_same_replica
                a_write_is_seen_at_once
                versions_and_stamps_rise_together
                a_clock_behind_revives_nothing
                a_guard_sees_the_other
                the_indexes_are_one
                a_wait_is_ended_by_the_other
                concurrent_writers_lose_nothing
            }
            joins (Nothing) {
                a_record_arrives_as_it_is
                the_newer_value_wins
                the_same_record_twice_changes_nothing
                a_deletion_from_elsewhere_deletes
                counters_add_up
                an_unseen_increment_survives_a_deletion
                values_of_two_replicas_stand_side_by_side
                a_record_from_the_far_future_is_invalid
                a_join_moves_the_clock
                a_large_state_is_left_to_the_engine
                what_is_over_does_not_arrive
                a_renewal_from_elsewhere_keeps_the_version
                equal_stamps_end_alike
                a_late_record_joins_an_entry_that_was_renewed
                a_store_that_takes_back_an_old_copy_loses_no_later_write
            }
            keys (Nothing) {
                the_longest_keys_work
                unicode_keys_stay_apart
                case_is_kept
                separators_stay_apart
                pattern_characters_stay_apart
                names_of_file_systems_are_keys
                a_key_may_be_a_prefix_of_others
                every_printable_character_is_fine
            }
            limits (Limits) {
                a_body_past_the_limit_is_too_large
                a_state_past_the_limit_is_too_large
                a_record_past_the_limit_is_too_large
                a_batch_past_the_limit_is_too_large
            }
            multi_values (Nothing) {
                unnamed_puts_stand_side_by_side
                the_newest_comes_first_within_one_millisecond
                a_named_writer_replaces_its_own
                an_assignment_replaces_all
                a_resolution_sees_all_it_replaces
                the_cap_drops_the_oldest
                a_deletion_removes_every_value
                an_expiry_brings_nothing_back
                adding_is_a_type_mismatch
                compressed_states_come_back
                a_large_state_is_native
            }
            registers (Nothing) {
                a_put_replaces
                values_come_back_as_given
                one_mebibyte_comes_back
                sixteen_mebibytes_come_back
                compressed_values_come_back
                the_head_tells_who_wrote_and_under_what
                a_deletion_leaves_a_tombstone
                deleting_nothing_changes_nothing
                adding_is_a_type_mismatch
                a_put_of_an_older_time_is_superseded
                a_put_of_an_older_time_stays_deleted
                a_put_of_a_newer_time_has_that_stamp
                a_put_of_a_far_future_is_invalid
                a_plain_put_is_never_superseded
                a_large_value_is_native
            }
            reopening (Persistence) {
                records_come_back
                the_identity_stays
                stamps_and_versions_go_on
                numbers_of_erased_entries_are_not_reused
                the_expired_stay_expired
                the_feed_goes_on
                counts_and_due_lists_go_on
                states_go_on
                many_openings_leave_a_sound_store
            }
            replacements (Nothing) {
                a_replacement_puts_the_state
                a_replacement_is_refused_after_another_write
                a_replacement_by_nothing_deletes
                a_tombstone_without_an_entry_will_go
                a_programs_own_kind_is_left_to_the_engine
                a_replacement_may_keep_the_stamp
            }
            restamps (Nothing) {
                the_ttl_counts_from_the_original_stamp
                rule_and_class_move
                the_callers_expiry_stays
                the_rule_may_end_or_free_an_entry
                the_same_rule_changes_nothing
                a_rule_does_not_revive
                a_rule_leaves_the_dead_alone
                a_rule_may_count_from_the_creation
            }
            scans (Nothing) {
                keys_come_in_byte_order
                a_prefix_covers_whole_segments
                a_prefix_need_not_exist
                special_characters_are_literal
                pages_neither_skip_nor_repeat
                after_need_not_exist
                an_exact_page_ends_well
                system_keys_are_apart
                a_scan_gives_what_is_wanted
                the_dead_are_given_as_stored
                erasures_between_pages_disturb_nothing
                a_page_tells_the_clock
                a_page_ends_at_its_bytes
            }
            touches (Nothing) {
                set_is_exact
                set_to_the_past_ends_the_entry
                set_is_the_callers_wish
                extend_only_lengthens
                shorten_only_shortens
                a_refresh_is_coalesced
                a_refresh_stays_the_rules
                a_refresh_never_shortens
                the_shortest_ttl_refreshes_by_a_millisecond
                nothing_revives_an_expired_entry
                nothing_revives_a_deleted_entry
                a_renewal_keeps_its_token
            }
            usage (Nothing) {
                groups_are_rule_and_namespace
                overwriting_replaces_the_bytes
                every_change_keeps_the_counts
                the_expired_count_and_the_deleted_do_not
                groups_vanish_at_zero
                groups_vanish_within_a_batch
                entries_move_between_groups
                system_keys_are_not_counted
                groups_are_paged
                joined_records_are_counted
            }
            verification (Nothing) {
                an_empty_store_is_sound
                a_used_store_is_sound
                repairing_a_sound_store_changes_nothing
            }
            versions (Nothing) {
                every_content_write_takes_a_new_version
                the_version_is_the_seq_of_the_content
                versions_never_repeat_after_erasure
                a_touch_moves_seq_and_keeps_the_version
                stamps_rise_within_one_millisecond
                stamps_rise_while_the_wall_steps_back
                stamps_carry_the_wall_and_the_replica
                what_changes_nothing_takes_no_seq
                creation_time_stays_until_the_entry_ends
            }
        }
    };
}

/// Expands into one test per behaviour of the [`Store`](memlife_core::Store) contract.
///
/// `conformance!(sqlite, || async { ... })` makes a module `sqlite` of tests such as
/// `sqlite::guards::absent_holds_over_nothing`. The closure is called once per test and gives a fresh
/// [`Subject`](crate::Subject).
#[macro_export]
macro_rules! conformance {
    ($backend:ident, $subject:expr) => {
        $crate::with_behaviours! { conformance_tests! ($backend, $subject) }
    };
}

#[macro_export]
#[doc(hidden)]
macro_rules! conformance_tests {
    (($backend:ident, $subject:expr) $($area:ident ($need:ident) { $($name:ident)* })*) => {
        mod $backend {
            #[allow(unused_imports, reason = "the expression may use what its module imports")]
            use super::*;

            $crate::new_subject! { $subject }

            $(mod $area {
                $(#[test]
                fn $name() {
                    $crate::conformance::run(
                        concat!(stringify!($area), "::", stringify!($name)),
                        $crate::conformance::Need::$need,
                        super::subject(),
                        $crate::conformance::boxed::$area::$name,
                    );
                })*
            })*
        }
    };
}

/// The function `subject` that begins to make what the closure gives.
#[macro_export]
#[doc(hidden)]
macro_rules! new_subject {
    ($subject:expr) => {
        #[allow(clippy::redundant_closure_call, reason = "the closure is the caller's")]
        fn subject() -> $crate::conformance::NewSubject {
            ::std::boxed::Box::pin(async {
                ::std::boxed::Box::new(($subject)().await) as ::std::boxed::Box<dyn $crate::Subject>
            })
        }
    };
}

#[macro_export]
#[doc(hidden)]
macro_rules! behaviour_names {
    (() $($area:ident ($need:ident) { $($name:ident)* })*) => {
        &[$($((stringify!($area), stringify!($name))),*),*]
    };
}

/// Area and name of every behaviour.
#[cfg(test)]
pub(super) const NAMES: &[(&str, &str)] = crate::with_behaviours! { behaviour_names! () };
