-- wrk's script: each request is a new transfer between two random wallets.
-- Arguments after `--`: a file whose first line is the API key and whose other lines are wallet ids.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  wallets = {}
  for line in io.lines(arguments[1]) do
    if token == nil then token = line else wallets[#wallets + 1] = line end
  end
  math.randomseed(os.time() * 100 + number)
  prefix = os.time() .. "-" .. math.random(1, 1000000000) .. "-" .. number .. "-"
  sent = 0
end

function request()
  sent = sent + 1
  local source = math.random(1, #wallets)
  local destination = math.random(1, #wallets - 1)
  if destination >= source then destination = destination + 1 end
  local headers = {
    ["Authorization"] = "Bearer " .. token,
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = prefix .. sent,
  }
  local body = '{"source_wallet_id":"' .. wallets[source] .. '","destination_wallet_id":"' .. wallets[destination]
    .. '","amount":1,"currency":"RWF"}'
  return wrk.format("POST", "/v1/transfers", headers, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'JSON {"requests": %d, "seconds": %.3f, "p50_ms": %.2f, "p99_ms": %.2f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
