-- What wrk sends, and how it counts the answers. Arguments, after "--": kind, prefix, token, first, count, step, stride,
-- and what only some kinds have: the number of pools, or a file with a path or a body in each line.
--
-- A request is put together by hand and not by wrk.format: numbers in names have a fixed width, so everything but the
-- number is made once. The generator shares the machine with what it measures, and must cost as little as it can.
--
-- The numbers a round sends are first … first + count - 1, each once where something changes, round and round for the
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

-- Each kind: its requests; the number says which of them is sent. A request is what stands before, between and after that
-- number, which it may have any number of times.
local kinds = {
  allocate = function(prefix, token)
    local opening = '{"nodeName":"' .. prefix
    local closing = '","displayIp":"192.168.1.10"}'
    return { { head('POST', '/v1/allocations', token, #opening + WIDTH + #closing) .. opening, closing } }
  end,
  batch = function(prefix, token)
    local parts, length = { '{"items":[{"nodeName":"' .. prefix }, 0
    for i = 0, 999 do
      table.insert(parts, ('-%03d","displayIp":"192.168.1.10"}%s'):format(i, i < 999 and ',{"nodeName":"' .. prefix or ']}'))
    end
    for _, part in ipairs(parts) do length = length + #part end
    parts[1] = head('POST', '/v1/allocations/batch', token, length + 1000 * WIDTH) .. parts[1]
    return { parts }
  end,
  lookup = function(prefix, token)
    return { { head('GET', '/v1/nodes/' .. prefix .. '@/unique-ip', token):match('^(.*)@(.*)$') } }
  end,
  release = function(prefix, token)
    return { { head('DELETE', '/v1/nodes/' .. prefix .. '@/allocation', token):match('^(.*)@(.*)$') } }
  end,
  registration = function(prefix, token)
    local opening, closing = '{"nodeUid":"' .. prefix, '"}'
    local length = #opening + WIDTH + #closing
    local path = '/v1/nodes/' .. prefix .. '@/registration'
    local before, between = head('POST', path, token, length):match('^(.*)@(.*)$')
    return { { before, between .. opening, closing } }
  end,
  allocateIn = function(prefix, token, pools)
    local requests = {}
    for pool = 0, pools - 1 do
      local opening = '{"nodeName":"' .. prefix
      local closing = '","pool":"pool-' .. pool .. '","displayIp":"192.168.1.10"}'
      local parts = { head('POST', '/v1/allocations', token, #opening + WIDTH + #closing) .. opening, closing }
      table.insert(requests, parts)
    end
    return requests
  end,
  review = function(_, token, file)
    local requests = {}
    for body in io.lines(file) do
      table.insert(requests, { head('POST', '/hooks/kubernetes/nodes?timeout=2s', token, #body) .. body })
    end
    return requests
  end,
  get = function(_, token, file)
    local requests = {}
    for path in io.lines(file) do table.insert(requests, { head('GET', path, token) }) end
    return requests
  end,
}

sent, created, ok, other, firstOther = 0, 0, 0, 0, 0

function init(args)
  requests = kinds[args[1]](args[2], args[3], args[8])
  first, count, step = tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  stride = tonumber(args[7])
  -- wrk asks for one request to look at before it begins; that one is not sent.
  place = id - (id == 0 and stride or 0)
end

local format, concat = string.format, table.concat

function request()
  local n = first + place % count * step % count
  local parts = requests[n % #requests + 1]
  place = place + stride
  sent = sent + 1
  if #parts == 2 then
    return parts[1] .. format(number, n) .. parts[2]
  end
  return concat(parts, format(number, n))
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
