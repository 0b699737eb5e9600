-- wrk's script: each request is a new transfer from one of the sources to one of the destinations.
-- Argument after `--`: a file of lines `source TOKEN WALLET_ID` and `destination WALLET_ID`.

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(arguments)
  sources, destinations = {}, {}
  for line in io.lines(arguments[1]) do
    local kind, first, second = line:match("^(%S+) (%S+) ?(%S*)$")
    if kind == "source" then
      sources[#sources + 1] = { authorization = "Bearer " .. first, wallet = second }
    else
      destinations[#destinations + 1] = first
    end
  end
  math.randomseed(os.time() * 100 + number)
  prefix = os.time() .. "-" .. math.random(1, 1000000000) .. "-" .. number .. "-"
  sent = 0
end

-- Another wallet than the source; there are two destinations at least, or the source is none of them.
function destination_of(source)
  local place = math.random(1, #destinations)
  if destinations[place] == source.wallet then place = place % #destinations + 1 end
  return destinations[place]
end

function request()
  sent = sent + 1
  local source = sources[math.random(1, #sources)]
  local headers = {
    ["Authorization"] = source.authorization,
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = prefix .. sent,
  }
  local body = '{"source_wallet_id":"' .. source.wallet .. '","destination_wallet_id":"' .. destination_of(source)
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
