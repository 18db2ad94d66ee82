------------------------------- MODULE Trace -------------------------------
(* What the append-only file showed of jobs, as behaviours of Job. Records is written by tools/traces.py: of each
   job the values of Shown, one after the other. Between two of them any steps may happen that change none of it. *)
EXTENDS Job, Records, Sequences, TLC

VARIABLES trace, \* which job
          place  \* the value that the record has now

Shown(record) ==
    IF record.state \in Ended THEN <<record.state, record.token, record.attempts, FALSE, FALSE>>
    ELSE <<record.state, record.token, record.attempts, record.cancel, record.uploads # {}>>

TraceInit == Init /\ trace \in 1..Len(Traces) /\ place = 1 /\ Shown(job) = Traces[trace][1]

TraceNext ==
    /\ Next
    /\ UNCHANGED trace
    /\ \/ Shown(job') = Traces[trace][place] /\ UNCHANGED place
       \/ place < Len(Traces[trace]) /\ Shown(job') = Traces[trace][place + 1] /\ place' = place + 1

IsOpen == place < Len(Traces[trace])
Accepted == IsOpen \/ PrintT(<<"accepted", trace>>) \* always true
=============================================================================
