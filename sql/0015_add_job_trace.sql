-- The span of the request, or of the attempt of another job, that enqueued a job, in the form of its headers (W3C Trace
-- Context). The attempts of the job are spans of the same trace. Null if nothing enqueued it on behalf of a request.

-- migrate: up
alter table jobs add column traceparent text, add column tracestate text;

-- migrate: down
alter table jobs drop column traceparent, drop column tracestate;
