"""The guards of RDS instances and clusters: their snapshots, copies, restores and drills."""

from tests.guards.switch import Guard

SNAPSHOTS = "engine/rds/test_instance_snapshots.py"
EXPIRED = f"{SNAPSHOTS}::test_only_our_own_snapshots_expire"
RULES = f"{SNAPSHOTS}::test_the_rules_of_what_stays"
OTHERS = f"{SNAPSHOTS}::test_snapshots_of_others_and_of_what_is_not_available_are_refused"
COPIED = f"{SNAPSHOTS}::test_what_is_there_under_a_copy_s_name_must_be_our_copy_of_this_source"
ENCRYPTED = f"{SNAPSHOTS}::test_a_copy_of_an_encrypted_snapshot_is_asked_for_in_its_region_with_a_key"
RESTORE = "engine/rds/test_instance_restore.py"
EVERY = f"{RESTORE}::test_every_setting_for_which_a_restore_has_a_default_is_given"
ELSEWHERE = "engine/rds/test_instance_restore_elsewhere.py"
REFUSED = f"{ELSEWHERE}::test_what_may_not_be_is_refused_before_anything_is_made"
UNTOUCHED = f"{ELSEWHERE}::test_nothing_is_changed_or_deleted_that_a_run_did_not_make"
GONE = f"{ELSEWHERE}::test_a_source_that_is_gone_is_restored_from_its_record"
AWAY = f"{ELSEWHERE}::test_in_another_region_what_belongs_to_a_region_has_to_be_named"
CLUSTER = f"{ELSEWHERE}::test_a_cluster_comes_back_with_its_instances"
DRILL = "engine/drills/test_instance_drill.py"
DAMAGE = f"{DRILL}::test_damage_fails_the_drill_for_its_reason"
CHECKS = f"{DRILL}::test_missed_objectives_and_failed_checks_are_each_a_reason"
BADLY = f"{DRILL}::test_a_restore_that_ends_badly_fails_the_drill_and_is_torn_down"
STATES = "engine/drills/test_instance_drill_states.py"
SWEPT = f"{STATES}::test_the_sweeper_removes_only_what_carries_all_marks"
CONTENTS = "engine/rds/test_instance_contents.py"
QUIET = f"{CONTENTS}::test_a_quiet_table_is_equal_or_damaged"
BOUNDED = f"{CONTENTS}::test_a_table_that_changed_meanwhile_is_bounded"
SEEN = f"{CONTENTS}::test_what_a_user_may_not_see_is_not_taken_for_the_whole"
SAME = f"{CONTENTS}::test_rows_that_did_not_change_must_be_what_they_were"
LOST = f"{CONTENTS}::test_a_missing_table_and_a_lost_index_are_named"


def _trap(setting: str) -> Guard:
    """A setting that a restore has otherwise when its request leaves it out."""
    return Guard(f"a restored instance with the default {setting}", "rds.instances.settings:restore_parameters",
                 "given[one.restore] = value", f"given |= {{}} if one.name == {setting!r} else {{one.restore: value}}", EVERY)  # fmt: skip


SECTIONS: dict[str, list[Guard]] = {
    "Snapshots of RDS instances": [
        Guard("a snapshot of another run's", "rds.instances.snapshots:_Taker._there", "if tags_of(there).get(SNAPSHOT_TAG) != self._run:",
              "if False:", OTHERS, error="TypeError"),
        Guard("a snapshot of what is not available", "rds.instances.snapshots:_Taker.begin",
              'if status not in ("available", "storage-optimization"):', "if False:", OTHERS, error="PermanentError"),
        Guard("taking what failed for what is there", "rds.instances.service:settled", 'if awaited.goal == "available" and status in BROKEN:',
              "if status in BROKEN:\n        return True\n    if False:", f"{SNAPSHOTS}::test_a_snapshot_that_fails_is_said_at_once"),
        Guard("a snapshot of one instance of a cluster", "rds.instances.service:family_of",
              'if instance is not None and instance.get("DBClusterIdentifier"):', "if False:", CLUSTER, error="PermanentError"),
        Guard("a snapshot of others under the copy's name", "rds.instances.copy:_check_ours", "if SNAPSHOT_TAG not in tags_of(there):",
              "if False:", COPIED),
        Guard("a copy of another snapshot under the copy's name", "rds.instances.copy:_check_ours", "if of != arn[-LONGEST_TAG:]:", "if False:",
              COPIED),
        Guard("a snapshot that others make while a copy is asked for", "rds.instances.copy:copy_snapshot",
              "there = need(clients, thing, target, what, to_region)", "pass",
              f"{SNAPSHOTS}::test_a_snapshot_that_others_made_at_this_moment_is_not_taken_for_the_copy"),
        Guard("a copy that is not encrypted", "rds.instances.copy:copy_snapshot",
              'if encrypted and not made.get("Encrypted", made.get("StorageEncrypted")):', "if False:",
              f"{SNAPSHOTS}::test_a_copy_that_came_out_unencrypted_is_no_success"),
        Guard("a copy that costs too much", "rds.instances.copy:copy_snapshot", 'if max_usd is not None and cost["once"] > max_usd:', "if False:",
              f"{SNAPSHOTS}::test_a_transfer_that_costs_too_much_is_not_begun"),
        Guard("an encrypted copy without a key of its Region", "rds.instances.copy:_check_copy", "if encrypted and away and not key:",
              "if False:", ENCRYPTED, error="PermanentError"),
        Guard("a copy with a key of the source's Region", "rds.instances.copy:_check_copy",
              'if key and key.startswith("arn:") and away and key.split(":")[3] == clients.region:', "if False:", ENCRYPTED, error="PermanentError"),
        Guard("deleting a snapshot that others named so", "rds.instances.marked:is_ours", " and SNAPSHOT_TAG in tags_of(description)", "", EXPIRED),
        Guard("deleting a snapshot that took over our tag", "rds.instances.marked:is_ours", "name.startswith(PREFIX) and ", "", EXPIRED),
        Guard("deleting a snapshot that lost its marks meanwhile", "rds.instances.retention:_delete", "if found is None or not is_ours(found, one.snapshot):",
              "if found is None:", f"{SNAPSHOTS}::test_a_snapshot_that_lost_its_marks_meanwhile_stays"),
        Guard("deleting snapshots unasked", "rds.instances.retention:expire_snapshots", "if confirm and not expiry.stopped:",
              "if not expiry.stopped:", EXPIRED),
        Guard("deleting snapshots while the newest is old", "rds.instances.retention:_stopped", "if age > stale:", "if False:", EXPIRED),
        Guard("a pinned snapshot", "rds.instances.retention:judge_snapshots", '["pinned"] if one.snapshot in pins else []', "[]", EXPIRED),
        Guard("fewer snapshots than the minimum", "rds.instances.retention:judge_snapshots", 'reasons[one.snapshot].append("minimum")', "pass", RULES),
        Guard("a snapshot of which a copy is on its way", "rds.instances.retention:expire_snapshots",
              "copying=copying", "copying=()", f"{SNAPSHOTS}::test_a_source_is_not_deleted_while_its_copy_is_on_its_way"),
    ],
    "Restores of RDS instances": [
        Guard("another plan of an instance than was shown", "rds.instances.plan:InstanceRestorePlan.check_hash", "if wanted is not None and",
              "if False and", REFUSED, error="TransientError"),
        Guard("a plan of an instance named by too few digits", "rds.instances.plan:InstanceRestorePlan.check_hash", "len(wanted) >= 16 and ", "",
              REFUSED, error="TransientError"),
        Guard("a restore under the source's name", "rds.instances.request:InstanceRestoreRequest.check",
              "if self.to.lower() == self.database.lower():", "if False:", REFUSED),
        Guard("a restore under the name of another instance", "rds.instances.plan:_resumed", "if tags_of(there).get(PLAN_TAG) == plan.hash[:32]:",
              "if True:", REFUSED),
        Guard("an instance's name that the pipeline refuses", "rds.instances.request:InstanceRestoreRequest.check",
              "if fnmatch.fnmatchcase(self.to, pattern):", "if False:", REFUSED),
        Guard("an account to which no instance is restored", "rds.instances.plan:plan_instance_restore",
              "if request.accounts and account not in request.accounts:", "if False:", REFUSED),
        Guard("a snapshot of another instance", "rds.instances.source:_snapshot",
              "if str(found[source]).lower() != request.database.lower():", "if False:", REFUSED),
        Guard("a group that is not there", "rds.instances.plan:_check_groups", "if not there:", "if False:", REFUSED),
        Guard("groups of another Region", "rds.instances.plan:_wanted", "if needed:", "if False:", AWAY),
        Guard("an instance that costs too much", "rds.instances.plan:_cost", "if over := ", "if over := None and ",
              f"{DRILL}::test_money_is_looked_at_before"),
        Guard("an instance without a price under a limit", "rds.instances.plan:_cost", "if request.max_usd is not None:", "if False:",
              f"{ELSEWHERE}::test_a_class_without_a_price_is_told_and_refused_under_a_limit"),
        Guard("a time outside of the window", "rds.instances.source:_by_time", "if request.at is not None and (", "if False and (",
              f"{ELSEWHERE}::test_a_point_in_time_within_the_window_comes_back"),
        Guard("settings of another instance of that name", "rds.instances.source:find_origin",
              "if live is not None and resource and resource_of(live, family) != resource:", "if False:", GONE),
        *[_trap(one) for one in (
            "public access", "deletion protection", "Multi-AZ", "parameter group", "security groups", "subnet group", "storage type", "log exports",
            "IAM authentication", "certificate authority",
        )],
        Guard("settings that a restore does not take", "rds.instances.restore:settle",
              "given = modify_parameters(plan.settings, facts(plain(found), created.family), created.family)", "given: Any = {}", EVERY),
        Guard("a setting that was lost and is not told", "rds.instances.restore:settle",
              "report.settings = [one.as_dict() for one in different]", "pass", f"{RESTORE}::test_a_setting_that_is_lost_is_named"),
        Guard("an instance that others make at this moment", "rds.instances.restore:_ours",
              "if tags.get(PLAN_TAG) != plan.hash[:32] or not tags.get(RUN_TAG):", "if False:",
              f"{ELSEWHERE}::test_an_instance_that_others_made_at_this_moment_is_not_taken_for_the_restored_one", error="KeyError"),
        Guard("a cluster's instance that others made", "rds.instances.restore:finish_creation",
              'if find_created(clients, "instance", member.name, created.run) is None:', "if False:",
              f"{ELSEWHERE}::test_an_instance_of_others_is_not_taken_for_a_new_cluster_s", error="TransientError"),
        Guard("changing an instance that another run made", "rds.instances.created:own", "if tags_of(found).get(RUN_TAG) != created.run:",
              "if False:", UNTOUCHED),
        Guard("changing another instance of that name", "rds.instances.created:own",
              "if not created.resource or resource_of(found, created.family) != created.resource:", "if False:", UNTOUCHED),
    ],
    "Drills of RDS instances": [
        Guard("a drill that can prove nothing", "drills.instances:_Drill._begin_anew", "if not report.compared and not request.checks:",
              "if False:", f"{STATES}::test_without_a_record_the_teams_checks_must_prove_it"),
        Guard("a scratch instance after a failure", "drills.instances:_Drill.carry_out", "report.torn_down = self._tear_down(report)",
              "report.torn_down = True", DAMAGE, "999 rows"),
        Guard("a scratch instance after an unknown error", "drills.instances:_Drill._try", "self._tear_down(report)", "pass",
              f"{DRILL}::test_any_other_error_tears_down_and_is_raised"),
        Guard("a scratch instance of a try that has ended", "drills.instances:_Drill._begin_anew",
              "tear_down_instance(self._clients, family, scratch, self._run, self._given_wait)", "pass",
              f"{STATES}::test_what_an_ended_try_has_left_goes_before_the_next", error="BadInputError"),
        Guard("a scratch instance that nobody speaks of", "drills.instance_report:judge",
              "if not report.torn_down and", "if False and", f"{DRILL}::test_what_cannot_be_removed_is_a_problem"),
        Guard("a teardown that nobody looks at", "drills.instance_scratch:tear_down_instance", "return not _left(clients, created)",
              "return True", f"{STATES}::test_a_teardown_looks_whether_anything_is_left"),
        Guard("automated backups that outlive the scratch instance", "rds.instances.created:begin_deletion", '"DeleteAutomatedBackups": True',
              '"DeleteAutomatedBackups": False', f"{STATES}::test_a_teardown_looks_whether_anything_is_left"),
        Guard("automated backups of a scratch instance", "rds.instances.plan:_wanted", "if request.scratch else {}", "if False else {}",
              f"{STATES}::test_a_point_in_time_is_drilled_against_the_record_of_its_time"),
        Guard("a drill without an end", "drills.instances:_Drill._restore",
              "self._given_wait(replace(awaited, hours=self._check_time(report)))", "self._given_wait(awaited)", BADLY),
        Guard("a drill that another worker goes on with", "checkpoints:Checkpoint.save", "if_match=self._etag", "if_match=None",
              f"{STATES}::test_a_worker_that_was_thought_dead_does_not_tear_down_what_another_drills"),
        Guard("two records of one drill", "drills.instances:_Drill._keep",
              'if (record["run"], record["result"]["started"]) == (self._run, report.started):', "if False:",
              "engine/drills/test_instance_drill.py::test_a_try_that_died_after_its_record_leaves_one", error="ValueError"),
        Guard("a check that writes", "drills.instances:_Drill._check", 'connection.execute("BEGIN READ ONLY")', 'connection.execute("BEGIN")', CHECKS),
        Guard("a check of several statements", "drills.instances:_Drill._check", "prepare=True", "prepare=False", CHECKS),
        Guard("a time to restore of what was not proved", "drills.instances:_Drill._reckon", "if report.proved:", "if True:", DAMAGE, "DROP TABLE"),
        Guard("a time to restore of a table that was not proved", "drills.drill:_Drill._restore", "if report.proved:", "if True:",
              "engine/drills/test_restore_test.py::test_a_drill_of_what_no_set_can_tell_has_no_time"),
        Guard("a time in the history that was not reached", "drills.report:_brief", ' if result["proved"] else None', "",
              "engine/drills/test_drill.py::test_a_drill_that_proved_nothing_has_no_time_in_the_history"),
        Guard("deleting what is named otherwise", "rds.instances.created:begin_deletion", "if not prefix or not created.name.startswith(prefix):",
              "if False:", UNTOUCHED),
        Guard("deleting what another run made", "rds.instances.created:begin_deletion", "own(clients, created, what)", "pass", UNTOUCHED),
        Guard("deleting a cluster with an instance of others", "rds.instances.created:begin_deletion", "if one is None:", "if False:",
              f"{STATES}::test_a_scratch_cluster_with_an_instance_of_others_is_left_alone", error="AttributeError"),
        Guard("sweeping an instance that may be alive", "drills.marks:dead", "is_over(tags, clock) is not True", "is_over(tags, clock) is None", SWEPT,
              error="KeyError"),
        Guard("sweeping instances unasked", "drills.instance_scratch:sweep_instances", "if not dry_run:", "if True:", SWEPT),
    ],
    "What is claimed of an RDS database": [
        Guard("a database whose contents cannot be read", "rds.instances.contents:check_engine", "if engine not in ENGINES:", "if False:",
              f"{STATES}::test_databases_that_cannot_be_read_are_refused_before"),
        Guard("a database that is no copy of the recorded one", "rds.instances.proof:compare_with_record",
              "if before.system and now.system and before.system != now.system:", "if False:",
              f"{STATES}::test_another_database_with_the_same_rows_is_no_proof"),
        Guard("a state without the marker", "rds.instances.proof:compare_with_record", "if not proof.marker:", "if False:", DAMAGE, "tablekeep_marker"),
        Guard("a table that differs from the record", "rds.instances.proof:compare_with_record", "if one.bad]", "if False]", DAMAGE,
              "999 rows"),
        Guard("a proof without one equal table", "rds.instances.proof:Proof.proved", "bool(self.equal) and ", "",
              f"{CONTENTS}::test_bounds_alone_prove_nothing"),
        Guard("a table that is not there", "rds.instances.verdicts:_verdict", 'return Verdict(name, "missing", 0, why)',
              'return Verdict(name, "equal", 0, why)', LOST),
        Guard("an index that is lost", "rds.instances.verdicts:_verdict", "if lost := ", "if lost := None and ", LOST),
        Guard("a quiet table with other rows", "rds.instances.verdicts:_between", "if quiet and first.changes is not None and", "if False and", QUIET),
        Guard("rows that are lost from a table in use", "rds.instances.verdicts:_between", "if now.old_rows < last.old_rows:", "if False:", BOUNDED,
              error="ValueError"),
        Guard("old rows that were not there", "rds.instances.verdicts:_between", "if now.old_rows > first.old_rows:", "if False:", SAME,
              error="StopIteration"),
        Guard("old rows that are other ones", "rds.instances.verdicts:_between", "and now.old_hash != look.old_hash", "and False", SAME,
              error="ValueError"),
        Guard("rows that the user may not see", "rds.instances.contents:_readable", "elif hidden:", "elif False:", SEEN, error="PermanentError"),
        Guard("a table that the user may not read", "rds.instances.contents:_readable", "elif not allowed:", "elif False:", SEEN, error="PermanentError"),
        Guard("a table that is empty after any restore", "rds.instances.contents:_readable", "elif unlogged:", "elif False:",
              f"{CONTENTS}::test_every_table_is_read_and_what_cannot_be_compared_is_told"),
        Guard("a value of a row in an error", "rds.instances.contents:translated", 'if code[:2] in ("22", "23") else', "if False else",
              f"{CONTENTS}::test_errors_name_no_password_and_no_value"),
    ],
}  # fmt: skip
