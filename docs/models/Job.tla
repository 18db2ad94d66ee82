-------------------------------- MODULE Job --------------------------------
(* One job from its submission to the receiver of its callback: claims, leases, uploads, publishing, cleanup, reclaim,
   cancel, pause, wake-ups, the outbox, and a failover that loses what was not confirmed.

   Time has no origin: a lease is the number of ticks it has left, so the state space is finite without a last moment.
   What a process reads of the store, or sends to the bucket, may be followed by any number of other steps.

   Mistake is "none", or the name of a mistake that is planted; see make model. *)
EXTENDS Integers, FiniteSets

CONSTANTS
    Workers,      \* separation workers
    Sweepers,     \* processes that reclaim jobs whose lease has ended
    Stems,        \* stems of the job
    Lease,        \* ticks of a lease
    Lag,          \* ticks by which the bucket's clock may be late
    MaxAttempts,  \* claims after which the job fails
    MaxCrashes, MaxStalls, MaxFailovers, MaxCancels, MaxPauses, \* how often each may happen
    None,         \* no upload, no end, nothing to deliver
    IsPrompt,     \* whether requests reach the bucket within a tick, which only what must happen at some time needs
    Mistake

VARIABLES
    job,      \* the record on the primary
    replica,  \* the record on the replica
    proc,     \* what each worker and sweeper knows
    uploads,  \* uploads that are open in the bucket
    filled,   \* those of them that hold bytes
    objects,  \* stem to the upload that became its object, or None
    wire,     \* requests under way to the bucket
    clock,    \* source of tokens: the server's time, which never repeats
    budget,   \* what may still go wrong, and may still be asked
    seen      \* what was reported to clients and receivers; nothing reads it but the properties

vars == <<job, replica, proc, uploads, filled, objects, wire, clock, budget, seen>>

Processes == Workers \cup Sweepers
Ended == {"Success", "Failed", "Cancel"}
Is(mistake) == Mistake = mistake

(* An upload is named by who opened it, with which token, for which stem. *)
Upload(p, s) == [by |-> p, token |-> proc[p].token, stem |-> s]
Own(p) == {Upload(p, s) : s \in Stems}

Idle == [pc |-> "idle", token |-> 0, lease |-> 0, stalled |-> FALSE, known |-> {}]

Init ==
    /\ job = [state |-> "Submitted", token |-> 0, lease |-> 0, attempts |-> 0, uploads |-> {}, cancel |-> FALSE,
              paused |-> FALSE, outbox |-> None, winner |-> None]
    /\ replica = job
    /\ proc = [p \in Processes |-> Idle]
    /\ uploads = {} /\ filled = {} /\ wire = {}
    /\ objects = [s \in Stems |-> None]
    /\ clock = 0
    /\ budget = [crashes |-> MaxCrashes, stalls |-> MaxStalls, failovers |-> MaxFailovers, cancels |-> MaxCancels,
                 pauses |-> MaxPauses, wakeup |-> TRUE]
    /\ seen = [ends |-> 0, cancelled |-> FALSE, paused |-> FALSE, broken |-> FALSE, received |-> FALSE]

----------------------------------------------------------------------------
(* The store. A script is one step. A confirmed change is on the replica when it is answered, and with it everything
   that was written before; other changes follow at some time. *)

Write(record) == job' = record /\ UNCHANGED replica
Confirm(record) == job' = record /\ replica' = record

Replicate == replica # job /\ replica' = job /\ UNCHANGED <<job, proc, uploads, filled, objects, wire, clock, budget, seen>>

Failover ==
    /\ budget.failovers > 0
    /\ job' = replica
    /\ budget' = [budget EXCEPT !.failovers = @ - 1]
    /\ UNCHANGED <<replica, proc, uploads, filled, objects, wire, clock, seen>>

NextToken == IF Is("tokens repeat") THEN job.token + 1 ELSE clock + 1
HasLease(p) == proc[p].lease > 0
IsCurrent(p) == job.state = "Running" /\ job.token = proc[p].token
Runs(p) == ~proc[p].stalled
Go(p, pc) == proc' = [proc EXCEPT ![p].pc = pc]
Stop(p) == proc' = [proc EXCEPT ![p] = Idle]

----------------------------------------------------------------------------
(* Clients. *)

Cancel ==
    /\ budget.cancels > 0 /\ job.state \notin Ended
    /\ budget' = [budget EXCEPT !.cancels = @ - 1]
    /\ LET record == IF job.state = "Submitted" THEN [job EXCEPT !.state = "Cancel"] ELSE [job EXCEPT !.cancel = TRUE]
       IN IF Is("cancels are not confirmed") THEN Write(record) ELSE Confirm(record)
    /\ seen' = [seen EXCEPT !.cancelled = TRUE, !.ends = @ + IF job.state = "Submitted" THEN 1 ELSE 0]
    /\ UNCHANGED <<proc, uploads, filled, objects, wire, clock>>

Pause ==
    /\ budget.pauses > 0 /\ ~job.paused /\ job.state = "Submitted"
    /\ budget' = [budget EXCEPT !.pauses = @ - 1]
    /\ Confirm([job EXCEPT !.paused = TRUE])
    /\ seen' = [seen EXCEPT !.paused = TRUE]
    /\ UNCHANGED <<proc, uploads, filled, objects, wire, clock>>

Resume ==
    /\ job.paused
    /\ Confirm([job EXCEPT !.paused = FALSE])
    /\ seen' = [seen EXCEPT !.paused = FALSE]
    /\ UNCHANGED <<proc, uploads, filled, objects, wire, clock, budget>>

----------------------------------------------------------------------------
(* A worker. *)

Claim(w) ==
    /\ proc[w].pc = "idle" /\ Runs(w) /\ budget.wakeup
    /\ job.state = "Submitted" /\ (job.paused => Is("claims ignore a pause"))
    /\ clock' = clock + 1
    /\ Write([job EXCEPT !.state = "Running", !.token = NextToken, !.lease = Lease, !.attempts = @ + 1])
    /\ proc' = [proc EXCEPT ![w] = [Idle EXCEPT !.pc = "open", !.token = NextToken, !.lease = Lease]]
    /\ seen' = [seen EXCEPT !.broken = @ \/ seen.paused]
    /\ UNCHANGED <<uploads, filled, objects, wire, budget>>

Heartbeat(p) ==
    /\ proc[p].pc # "idle" /\ Runs(p) /\ proc[p].lease < Lease /\ HasLease(p)
    /\ IF IsCurrent(p)
       THEN /\ Write([job EXCEPT !.lease = Lease])
            /\ proc' = [proc EXCEPT ![p].lease = Lease,
                        ![p].pc = IF job.cancel /\ p \in Workers /\ @ \in {"open", "send"} THEN "abort" ELSE @]
       ELSE Stop(p) /\ UNCHANGED <<job, replica>>
    /\ UNCHANGED <<uploads, filled, objects, wire, clock, budget, seen>>

GiveUp(p) == \* its own clock says that the lease is over
    /\ proc[p].pc # "idle" /\ Runs(p) /\ ~HasLease(p)
    /\ Stop(p)
    /\ UNCHANGED <<job, replica, uploads, filled, objects, wire, clock, budget, seen>>

Open(w, s) == \* the bucket opens an upload, of which the record knows nothing yet
    /\ proc[w].pc = "open" /\ Runs(w) /\ Upload(w, s) \notin proc[w].known
    /\ uploads' = uploads \cup {Upload(w, s)}
    /\ proc' = [proc EXCEPT ![w].known = @ \cup {Upload(w, s)}]
    /\ UNCHANGED <<job, replica, filled, objects, wire, clock, budget, seen>>

Register(w) ==
    /\ proc[w].pc = "open" /\ Runs(w) /\ proc[w].known = Own(w)
    /\ IF Is("uploads are not registered") THEN Go(w, "send") /\ UNCHANGED <<job, replica>>
       ELSE IF IsCurrent(w)
            THEN /\ LET record == [job EXCEPT !.uploads = @ \cup proc[w].known]
                    IN IF Is("uploads are not confirmed") THEN Write(record) ELSE Confirm(record)
                 /\ Go(w, "send")
            ELSE Stop(w) /\ UNCHANGED <<job, replica>>
    /\ UNCHANGED <<uploads, filled, objects, wire, clock, budget, seen>>

Send(w) ==
    /\ proc[w].pc = "send" /\ Runs(w)
    /\ filled' = filled \cup (proc[w].known \cap uploads)
    /\ Go(w, "publish")
    /\ UNCHANGED <<job, replica, uploads, objects, wire, clock, budget, seen>>

Fail(w) == \* an error of the source, the engine or the bucket; also a stop request
    /\ proc[w].pc \in {"open", "send", "publish"} /\ Runs(w)
    /\ Go(w, "abort")
    /\ UNCHANGED <<job, replica, uploads, filled, objects, wire, clock, budget, seen>>

Never == 99
Expires(p, mistake) == IF Is(mistake) THEN Never ELSE proc[p].lease

Complete(w, s) == \* sent while the lease holds; it may arrive much later
    /\ proc[w].pc = "publish" /\ Runs(w) /\ HasLease(w)
    /\ Upload(w, s) \in uploads
    /\ \A r \in wire : ~(r.op = "complete" /\ r.upload = Upload(w, s))
    /\ wire' = wire \cup {[op |-> "complete", token |-> proc[w].token, upload |-> Upload(w, s), left |-> Expires(w, "requests neither expire nor are their uploads aborted")]}
    /\ UNCHANGED <<job, replica, proc, uploads, filled, objects, clock, budget, seen>>

Refused(w) == \* the bucket knows no such upload: somebody has aborted it
    /\ proc[w].pc = "publish" /\ Runs(w)
    /\ \E s \in Stems : Upload(w, s) \notin uploads /\ objects[s] # Upload(w, s)
    /\ Go(w, "abort")
    /\ UNCHANGED <<job, replica, uploads, filled, objects, wire, clock, budget, seen>>

Succeed(w) ==
    /\ proc[w].pc = "publish" /\ Runs(w)
    /\ \A s \in Stems : objects[s] = Upload(w, s) \/ Is("success before the stems are seen")
    /\ IF ~IsCurrent(w) /\ ~Is("ends ignore the token")
       THEN Stop(w) /\ UNCHANGED <<job, replica, seen>>
       ELSE IF job.cancel /\ ~Is("success after a cancel")
       THEN Go(w, "abort") /\ UNCHANGED <<job, replica, seen>>
       ELSE LET record == [job EXCEPT !.state = "Success", !.winner = [by |-> w, token |-> proc[w].token],
                           !.outbox = IF Is("ends without a callback") THEN None ELSE "due"]
            IN /\ IF Is("ends are not confirmed") THEN Write(record) ELSE Confirm(record)
               /\ seen' = [seen EXCEPT !.ends = @ + 1]
               /\ Stop(w)
    /\ UNCHANGED <<uploads, filled, objects, wire, clock, budget>>

----------------------------------------------------------------------------
(* Cleanup, by the worker itself or by a sweeper that has reclaimed the job: first the uploads are aborted, so that a
   request on its way finds none, then the objects are deleted. *)

ToRemove(p) == IF p \in Workers THEN proc[p].known ELSE job.uploads

Abort(p) ==
    /\ proc[p].pc = "abort" /\ Runs(p) /\ HasLease(p)
    /\ IF p \in Sweepers /\ Is("requests neither expire nor are their uploads aborted")
       THEN UNCHANGED uploads ELSE uploads' = uploads \ ToRemove(p)
    /\ proc' = [proc EXCEPT ![p].pc = "delete", ![p].known = ToRemove(p)]
    /\ filled' = filled \cap uploads'
    /\ UNCHANGED <<job, replica, objects, wire, clock, budget, seen>>

Present(p) == {s \in Stems : objects[s] \in proc[p].known}

Delete(p, s) ==
    /\ proc[p].pc = "delete" /\ Runs(p) /\ HasLease(p)
    /\ s \in Present(p)
    /\ \A r \in wire : ~(r.op = "delete" /\ r.upload = objects[s] /\ r.token = proc[p].token)
    /\ wire' = wire \cup {[op |-> "delete", token |-> proc[p].token, upload |-> objects[s], left |-> Expires(p, "deletes neither expire nor name a version")]}
    /\ UNCHANGED <<job, replica, proc, uploads, filled, objects, clock, budget, seen>>

EndAttempt(p) == \* nothing of it is in the bucket any more
    /\ proc[p].pc = "delete" /\ Runs(p)
    /\ Present(p) = {} \/ Is("ends before the objects are deleted")
    /\ IF ~IsCurrent(p) THEN Stop(p) /\ UNCHANGED <<job, replica, seen>>
       ELSE LET state == IF job.cancel THEN "Cancel" ELSE IF job.attempts >= MaxAttempts THEN "Failed" ELSE "Submitted"
                record == [job EXCEPT !.state = state, !.uploads = {}, !.lease = 0, !.cancel = FALSE,
                           !.outbox = IF state = "Failed" /\ ~Is("ends without a callback") THEN "due" ELSE @]
            IN /\ IF state \in Ended THEN Confirm(record) ELSE Write(record)
               /\ seen' = [seen EXCEPT !.ends = @ + IF state \in Ended THEN 1 ELSE 0]
               /\ Stop(p)
    /\ UNCHANGED <<uploads, filled, objects, wire, clock, budget>>

----------------------------------------------------------------------------
(* A sweeper. *)

Reclaim(p) ==
    /\ proc[p].pc = "idle" /\ Runs(p) /\ ~Is("nothing is reclaimed")
    /\ job.state = "Running" /\ job.lease = 0
    /\ clock' = clock + 1
    /\ LET token == IF Is("reclaims keep the token") THEN job.token ELSE NextToken
           record == [job EXCEPT !.token = token, !.lease = Lease] IN
       /\ IF Is("reclaims are not confirmed") THEN Write(record) ELSE Confirm(record)
       /\ proc' = [proc EXCEPT ![p] = [Idle EXCEPT !.pc = "abort", !.token = token, !.lease = Lease]]
    /\ UNCHANGED <<uploads, filled, objects, wire, budget, seen>>

WakeUp ==
    /\ job.state = "Submitted" /\ ~budget.wakeup /\ ~Is("wake-ups are not repeated")
    /\ budget' = [budget EXCEPT !.wakeup = TRUE]
    /\ UNCHANGED <<job, replica, proc, uploads, filled, objects, wire, clock, seen>>

----------------------------------------------------------------------------
(* The bucket. *)

Arrive(r) ==
    /\ wire' = wire \ {r}
    /\ LET u == r.upload
           isDue == r.left + Lag > 0 IN
       IF r.op = "complete" /\ isDue /\ u \in uploads
       THEN /\ objects' = [objects EXCEPT ![u.stem] = u]
            /\ uploads' = uploads \ {u} /\ filled' = filled \ {u}
       ELSE IF r.op = "delete" /\ isDue /\ (objects[u.stem] = u \/ Is("deletes neither expire nor name a version"))
       THEN objects' = [objects EXCEPT ![u.stem] = None] /\ UNCHANGED <<uploads, filled>>
       ELSE UNCHANGED <<objects, uploads, filled>>
    /\ UNCHANGED <<job, replica, proc, clock, budget, seen>>

----------------------------------------------------------------------------
(* The outbox. *)

Deliver == \* the receiver has it; whether that is recorded too is another step, which a crash may prevent
    /\ job.outbox = (IF Is("deliveries are recorded first") THEN "sent" ELSE "due")
    /\ seen' = [seen EXCEPT !.received = TRUE]
    /\ job' = [job EXCEPT !.outbox = IF Is("deliveries are recorded first") THEN "delivered" ELSE "sent"]
    /\ UNCHANGED <<replica, proc, uploads, filled, objects, wire, clock, budget>>

RecordDelivery ==
    /\ job.outbox = (IF Is("deliveries are recorded first") THEN "due" ELSE "sent")
    /\ Confirm([job EXCEPT !.outbox = IF Is("deliveries are recorded first") THEN "sent" ELSE "delivered"])
    /\ UNCHANGED <<proc, uploads, filled, objects, wire, clock, budget, seen>>

CallbackWorkerDies == \* between the two steps: the reservation ends, and the delivery is due again
    /\ budget.crashes > 0 /\ job.outbox = "sent"
    /\ budget' = [budget EXCEPT !.crashes = @ - 1]
    /\ Write([job EXCEPT !.outbox = IF Is("deliveries are recorded first") THEN "delivered" ELSE "due"])
    /\ UNCHANGED <<proc, uploads, filled, objects, wire, clock, seen>>

----------------------------------------------------------------------------
(* What goes wrong. *)

Crash(p) ==
    /\ budget.crashes > 0 /\ proc[p].pc # "idle"
    /\ budget' = [budget EXCEPT !.crashes = @ - 1]
    /\ Stop(p)
    /\ UNCHANGED <<job, replica, uploads, filled, objects, wire, clock, seen>>

Stall(p) == \* a paused machine, a stopped process
    /\ budget.stalls > 0 /\ proc[p].pc # "idle" /\ Runs(p)
    /\ budget' = [budget EXCEPT !.stalls = @ - 1]
    /\ proc' = [proc EXCEPT ![p].stalled = TRUE]
    /\ UNCHANGED <<job, replica, uploads, filled, objects, wire, clock, seen>>

Continue(p) ==
    /\ proc[p].stalled
    /\ proc' = [proc EXCEPT ![p].stalled = FALSE]
    /\ UNCHANGED <<job, replica, uploads, filled, objects, wire, clock, budget, seen>>

LoseWakeUp ==
    /\ budget.wakeup /\ budget.crashes > 0
    /\ budget' = [budget EXCEPT !.wakeup = FALSE, !.crashes = @ - 1]
    /\ UNCHANGED <<job, replica, proc, uploads, filled, objects, wire, clock, seen>>

Later(ticks) == IF ticks > -Lag /\ ticks # Never THEN ticks - 1 ELSE ticks

Tick == \* a process that runs renews its lease in time, unless it is no longer its own
    /\ \A p \in Processes : proc[p].pc # "idle" /\ Runs(p) /\ IsCurrent(p) => proc[p].lease > 1
    /\ IsPrompt => wire = {}
    /\ job' = [job EXCEPT !.lease = IF @ > 0 THEN @ - 1 ELSE 0]
    /\ replica' = [replica EXCEPT !.lease = IF @ > 0 THEN @ - 1 ELSE 0]
    /\ proc' = [p \in Processes |-> [proc[p] EXCEPT !.lease = IF @ > 0 THEN @ - 1 ELSE 0]]
    /\ wire' = {[r EXCEPT !.left = Later(@)] : r \in wire}
    /\ vars # <<job', replica', proc', uploads, filled, objects, wire', clock, budget, seen>>
    /\ UNCHANGED <<uploads, filled, objects, clock, budget, seen>>

----------------------------------------------------------------------------
Steps(p) == GiveUp(p) \/ Abort(p) \/ EndAttempt(p) \/ (\E s \in Stems : Delete(p, s))
Working(w) == Register(w) \/ Send(w) \/ Succeed(w) \/ Refused(w) \/ (\E s \in Stems : Open(w, s) \/ Complete(w, s))

Next ==
    \/ Replicate \/ Failover \/ Cancel \/ Pause \/ Resume \/ WakeUp \/ LoseWakeUp \/ Tick
    \/ Deliver \/ RecordDelivery \/ CallbackWorkerDies
    \/ \E w \in Workers : Claim(w) \/ Working(w) \/ Fail(w)
    \/ \E p \in Sweepers : Reclaim(p)
    \/ \E p \in Processes : Heartbeat(p) \/ Steps(p) \/ Crash(p) \/ Stall(p) \/ Continue(p)
    \/ \E r \in wire : Arrive(r)

Fairness ==
    /\ WF_vars(Tick) /\ WF_vars(Resume) /\ WF_vars(WakeUp) /\ WF_vars(Deliver) /\ WF_vars(RecordDelivery)
    /\ WF_vars(\E w \in Workers : Claim(w)) /\ WF_vars(\E p \in Sweepers : Reclaim(p))
    /\ \A p \in Processes : WF_vars(Heartbeat(p)) /\ WF_vars(Steps(p)) /\ WF_vars(Continue(p))
    /\ \A w \in Workers : WF_vars(Working(w))
    /\ WF_vars(\E r \in wire : Arrive(r))

Spec == Init /\ [][Next]_vars /\ Fairness

----------------------------------------------------------------------------
(* What is promised. *)

DoneOnce == seen.ends <= 1

OnlyOwnStems == \* of a job that succeeded: all stems, of the attempt that succeeded, and no other's bytes waiting
    job.state = "Success" =>
        \A s \in Stems : objects[s] # None /\ [by |-> objects[s].by, token |-> objects[s].token] = job.winner

NothingLeft == \* of a job without success: no object, and no upload with bytes
    job.state \in {"Failed", "Cancel"} => (\A s \in Stems : objects[s] = None) /\ filled = {}

CancelObeyed == seen.cancelled => job.state # "Success"
PauseObeyed == ~seen.broken

Ends == <>(job.state \in Ended)
Announced == <>(job.state = "Cancel" \/ (job.state \in Ended /\ seen.received))
=============================================================================
