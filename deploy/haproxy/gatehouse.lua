-- Forward-auth for HAProxy 2.6 and later, which has none of its own: asks
-- Gatehouse who sends a request, and whether it may pass. For haproxy.cfg:
--
--   lua-load /etc/haproxy/gatehouse.lua
--   http-request lua.gatehouse http://127.0.0.1:4180
--   http-request deny deny_status 503 unless { var(txn.gatehouse) -m str passed }
--
-- The last line keeps out what this file did not let pass, also when it fails.
-- Name an address, not a host: a host would need HAProxy's resolvers.
--
-- The application is told X-Forwarded-User, -Email, -Groups,
-- -Preferred-Username and X-Forwarded-Attr-*, and none of them by the client.

local prefix = "/oauth2" -- server.prefix
local cookie = "_gatehouse" -- session.cookie_name
local timeout = 2000 -- of each of up to four attempts to get an answer, in milliseconds

-- fold makes one of the spellings that an application may take for one: behind
-- CGI and its heirs X_Forwarded.User is X-Forwarded-User.
local function fold(name)
  return (name:lower():gsub("[^%w]", "-"))
end

-- Headers that no client may send. Of the identity, an application may look at
-- those that this file never sets, too.
local forbidden = {
  ["x-forwarded-user"] = true, ["x-forwarded-email"] = true, ["x-forwarded-groups"] = true,
  ["x-forwarded-preferred-username"] = true, ["x-forwarded-access-token"] = true, ["x-gatehouse-assertion"] = true,
}

-- A client could name another path or method with these than the one that was
-- judged, and frameworks believe it.
for _, name in ipairs{"x-rewrite-url", "x-forwarded-uri", "x-forwarded-method"} do forbidden[name] = true end

local function removed(folded)
  for _, start in ipairs{"x-forwarded-attr-", "x-auth-request-", "x-original-"} do
    if folded:sub(1, #start) == start then return true end
  end
  return forbidden[folded]
end

-- Of the client's headers Gatehouse is told the cookies, the browser, and what
-- makes frameworks take a request for one of another method. Nothing else: a
-- client could describe another request than its own.
local told = {
  ["cookie"] = true, ["user-agent"] = true,
  ["x-http-method-override"] = true, ["x-http-method"] = true, ["x-method-override"] = true,
}

-- lines returns the values of one header as a list.
local function lines(values)
  local list = {}
  for i = 0, #values do
    if values[i] then list[#list + 1] = values[i] end
  end
  return list
end

-- own tells Gatehouse's cookies, which no application must see: whoever has
-- one is that person.
local function own(name)
  name = name:lower():gsub("^__host%-", ""):gsub("^__secure%-", "")
  return name:sub(1, #cookie) == cookie:lower()
end

-- strip_cookies takes our cookies out and leaves the application's.
local function strip_cookies(txn, values)
  local kept = {}
  for _, line in ipairs(values) do
    for pair in line:gmatch("[^;]+") do
      pair = pair:match("^%s*(.-)%s*$")
      if pair ~= "" and not own(pair:match("^=*%s*([^=]*)")) then kept[#kept + 1] = pair end
    end
  end
  txn.http:req_del_header("cookie")
  if #kept > 0 then txn.http:req_set_header("cookie", table.concat(kept, "; ")) end
end

local function escape(text)
  return (text:gsub("[^%w%-._~/]", function(c) return string.format("%%%02X", c:byte()) end))
end

-- navigation tells a person, who can sign in, from a program, which cannot.
local function navigation(method, headers)
  if method ~= "GET" and method ~= "HEAD" or headers["x-requested-with"] then return false end
  for _, mode in ipairs(lines(headers["sec-fetch-mode"] or {})) do
    if mode ~= "navigate" then return false end
  end
  for _, accept in ipairs(lines(headers["accept"] or {})) do
    if accept:lower():find("text/html", 1, true) then return true end
  end
  return false
end

local function answer(txn, status, headers, body)
  local reply = txn:reply{status = status}
  reply:add_header("cache-control", "no-store")
  for name, value in pairs(headers) do reply:add_header(name, value) end
  reply:set_body(body or "")
  txn:done(reply)
end

local function gatehouse(txn, address)
  txn:set_var("txn.gatehouse", "asked")
  local method, target = txn.f:method(), txn.f:pathq()
  local headers = txn.http:req_get_headers()
  local question = {}
  for name, values in pairs(headers) do
    local folded = fold(name)
    if told[folded] then question[name] = lines(values) end
    if removed(folded) then txn.http:req_del_header(name) end
  end
  local host = headers["host"] and headers["host"][0] or ""
  question["host"] = {host}
  question["x-forwarded-method"] = {method}
  question["x-forwarded-host"] = {host}
  question["x-forwarded-uri"] = {target}
  question["x-forwarded-proto"] = {txn.f:ssl_fc() == 1 and "https" or "http"}
  question["x-forwarded-for"] = {tostring(txn.f:src())}

  local response = core.httpclient():get{url = address .. prefix .. "/auth", headers = question, timeout = timeout}
  local status = response and response.status
  if status == 202 then
    for name, values in pairs(response.headers) do
      local field = name:lower():match("^x%-auth%-request%-(.+)$")
      if field then
        -- Set also when it is empty, so that nobody else's is taken for it.
        txn.http:req_set_header("x-forwarded-" .. field, lines(values)[1] or "")
      end
    end
    if headers["cookie"] then strip_cookies(txn, lines(headers["cookie"])) end
    txn:set_var("txn.gatehouse", "passed")
  elseif status == 401 and navigation(method, headers) then
    answer(txn, 302, {["location"] = prefix .. "/sign_in?rd=" .. escape(target)})
  elseif status == 401 then
    answer(txn, 401, {["content-type"] = "application/json"}, '{"error":"unauthenticated"}\n')
  elseif status == 403 and navigation(method, headers) then
    -- It says why, and takes more proof where that would do.
    answer(txn, 302, {["location"] = prefix .. "/step_up?rd=" .. escape(target)})
  elseif status == 403 then
    answer(txn, 403, {["content-type"] = "application/json"}, '{"error":"forbidden"}\n')
  else
    answer(txn, 503, {["content-type"] = "text/plain", ["retry-after"] = "5"}, "Who you are cannot be checked at the moment.\n")
  end
end

core.register_action("gatehouse", {"http-req"}, gatehouse, 1)
