
-- What waiting jobs want that do not stand in the common line, the most wanted first.
-- ARGV: 3 how many
-- Returns {what, waiting jobs, whether a worker that lives serves it (0/1)} of each

return demands(ARGV[3])
