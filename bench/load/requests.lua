-- What wrk sends, and how it counts the answers. Arguments, after "--": kind, prefix, token, first, count, step, stride.
--
-- A request is put together by hand and not by wrk.format: numbers in names have a fixed width, so everything but the
-- number is made once. The generator shares the machine with what it measures, and must cost as little as it can.
--
-- The numbers a round sends are first … first + count - 1, each once for "allocate" and "release", round and round for the
-- others. They are sent in scattered order, as nodes join: `step` has no divisor in common with `count`. `stride` is the
-- number of threads, which take turns.

local threads = {}

function setup(thread)
  thread:set('id', #threads)
  table.insert(threads, thread)
end

local function head(method, path, token, length)
  local lines = { method .. ' ' .. path .. ' HTTP/1.1', 'Host: ' .. wrk.headers['Host'], 'Authorization: Bearer ' .. token }
  if length then
    table.insert(lines, 'Content-Type: application/json')
    table.insert(lines, 'Content-Length: ' .. length)
  end
  return table.concat(lines, '\r\n') .. '\r\n\r\n'
end

local WIDTH = 8
local number = '%0' .. WIDTH .. 'd'

-- Each kind: what stands before, between and after the number (the body of a registration has it twice).
local kinds = {
  allocate = function(prefix, token)
    local opening = '{"nodeName":"' .. prefix
    local closing = '","displayIp":"192.168.1.10"}'
    return head('POST', '/v1/allocations', token, #opening + WIDTH + #closing) .. opening, closing
  end,
  lookup = function(prefix, token)
    local before, after = head('GET', '/v1/nodes/' .. prefix .. '@/unique-ip', token):match('^(.*)@(.*)$')
    return before, after
  end,
  release = function(prefix, token)
    local before, after = head('DELETE', '/v1/nodes/' .. prefix .. '@/allocation', token):match('^(.*)@(.*)$')
    return before, after
  end,
  registration = function(prefix, token)
    local opening, closing = '{"nodeUid":"' .. prefix, '"}'
    local length = #opening + WIDTH + #closing
    local path = '/v1/nodes/' .. prefix .. '@/registration'
    local before, between = head('POST', path, token, length):match('^(.*)@(.*)$')
    return before, between .. opening, closing
  end,
}

sent, created, ok, other, firstOther = 0, 0, 0, 0, 0

function init(args)
  before, after, last = kinds[args[1]](args[2], args[3])
  first, count, step = tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  stride = tonumber(args[7])
  -- wrk asks for one request to look at before it begins; that one is not sent.
  place = id - (id == 0 and stride or 0)
end

local format = string.format

function request()
  local name = format(number, first + place % count * step % count)
  place = place + stride
  sent = sent + 1
  if last then
    return before .. name .. after .. name .. last
  end
  return before .. name .. after
end

function response(status)
  if status == 201 then
    created = created + 1
  elseif status == 200 then
    ok = ok + 1
  else
    other = other + 1
    if firstOther == 0 then firstOther = status end
  end
end

function done(summary, latency)
  local total = { sent = -1, created = 0, ok = 0, other = 0, firstOther = 0 }
  for _, thread in ipairs(threads) do
    for name in pairs(total) do total[name] = total[name] + thread:get(name) end
  end
  local e = summary.errors
  io.write(string.format(
    '\n@{"seconds":%.6f,"requests":%d,"sent":%d,"created":%d,"ok":%d,"other":%d,"firstOther":%d,"socketErrors":%d,"p50":%.3f,"p99":%.3f}\n',
    summary.duration / 1e6, summary.requests, total.sent, total.created, total.ok, total.other, total.firstOther,
    e.connect + e.read + e.write + e.timeout, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
