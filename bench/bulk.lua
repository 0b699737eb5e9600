-- wrk's script: each request is 1,000 transfers between the sources and the destinations, each a success by itself.
-- Arguments after `--` as for transfer.lua, whose functions it uses; one token must be allowed to spend from all sources.

local folder = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(folder .. "transfer.lua")

ITEMS = 1000 -- As many as a request may have.

function request()
  sent = sent + 1
  local items = {}
  for place = 1, ITEMS do
    local source = sources[math.random(1, #sources)]
    items[place] = '{"source_wallet_id":"' .. source.wallet .. '","destination_wallet_id":"' .. destination_of(source)
      .. '","amount":1,"currency":"RWF"}'
  end
  local headers = {
    ["Authorization"] = sources[1].authorization,
    ["Content-Type"] = "application/json",
    ["Idempotency-Key"] = prefix .. sent,
  }
  local body = '{"mode":"independent","items":[' .. table.concat(items, ",") .. "]}"
  return wrk.format("POST", "/v1/transfers/bulk", headers, body)
end
