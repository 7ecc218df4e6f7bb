// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"cmp"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// cause is a config of which Caddy says something when it is loaded.
type cause struct {
	caddyfile string
	handler   string // in place of the Caddyfile, the inside of the handler's JSON
	key       string // the environment's; none if it is empty
	environ   bool   // whether Caddy runs with --environ
}

// site is a site with a line of the directive in it.
func site(lines ...string) cause {
	return cause{caddyfile: "http://example.com:PORT {\n" + strings.Join(lines, "\n") + "\n}\n", key: caddytest.Key}
}

// options are those of a directive that stands where it should.
func options(lines ...string) cause {
	return site("xai_ephemeral_token /session {\n" + strings.Join(lines, "\n") + "\n}")
}

// environment has XAI_API_KEY set to a key that is not right.
func environment(key string) cause {
	return cause{caddyfile: options().caddyfile, key: key}
}

// inJSON is an option as a config in JSON has it.
func inJSON(option string) cause { return cause{handler: option, key: caddytest.Key} }

// theLine is what people add to their sites.
const theLine = "xai_ephemeral_token /session"

// causes has the cause of each message that docs/troubleshooting.md quotes of a load,
// by a part of it that no other message has. All of it stands there alone.
var causes = map[string]cause{
	"{env.XAI_API_KEY} is empty":        environment(""),
	"xai_api_key} cannot be read":       options("api_key {file./run/secrets/xai_api_key}"),
	"has a line break in it":            environment("a\nb"),
	"has a control character in it":     environment("a\ab"),
	"is a part of the request's path":   options("api_key {file.xai_api_key}"),
	"a brace is not part":               options("api_key {file.{env.DIRECTORY}/key}"),
	"{http.request.body} cannot":        options("api_key {http.request.body}"),
	"endpoint: the value is empty":      options(`endpoint ""`),
	"unrecognized subdirective":         options("retry 2"),
	"retries is given twice":            options("retries 1", "retries 1"),
	"takes no block":                    options("retries 1 {", "}"),
	"wrong argument count":              options("retries 1 2"),
	"expires_after: '5'":                options("expires_after 5"),
	"timeout: 'soon'":                   options("timeout soon"),
	"timeout: 0s":                       options("timeout 0"),
	"expires_after: 2h0m0s":             options("expires_after 2h"),
	"retries: 'many'":                   options("retries many"),
	"retries: -1":                       options("retries -1"),
	"prefetch: 'on'":                    options("prefetch on"),
	"prefetch: 2000":                    options("prefetch 2000"),
	"session: write":                    options(`session {"model": "grok-voice-latest"}`),
	"session: not a JSON object":        options("session []"),
	"session: Caddy cannot keep":        options("session `{\"n\": 9007199254740993}`"),
	"endpoint: not an absolute":         options("endpoint api.x.ai/v1/realtime/client_secrets"),
	"endpoint: not a URL":               options("endpoint https://api.x.ai:v1/"),
	"endpoint: the URL has no host":     options("endpoint https:///v1/realtime/client_secrets"),
	"have user information":             options("endpoint https://user:password@api.x.ai/"),
	"have a fragment":                   options("endpoint https://api.x.ai/#fragment"),
	"endpoint: the port 70000":          options("endpoint https://api.x.ai:70000/"),
	"endpoint: evaluated placeholder":   options("endpoint {env.XAI_ENDPOINT}"),
	"does not speak HTTP":               options("transport fastcgi"),
	"module not registered":             options("transport socks"),
	`methods: "POST," ends`:             options("methods POST, GET"),
	`methods: "PUT"`:                    options("methods PUT"),
	"methods: POST is given twice":      options("methods POST POST"),
	"has no scheme":                     options("trusted_origins app.example.com"),
	`"https://a.example.com," has`:      options("trusted_origins https://a.example.com, https://b.example.com"),
	"app.example.com is given twice":    options("trusted_origins https://app.example.com https://app.example.com"),
	"has a wildcard":                    options("trusted_origins https://*.example.com"),
	"no browser sends \"":               options("trusted_origins https://App.example.com:443"),
	"has a placeholder; origins":        options("trusted_origins {env.ORIGIN}"),
	"must be in punycode, as":           options("trusted_origins https://bücher.example"),
	"must be in punycode, not":          options("trusted_origins https://b%C3%BCcher.example"),
	"trusted_origins: invalid origin":   options("trusted_origins https://app.example.com/"),
	"has a query or a fragment":         options("trusted_origins https://app.example.com?"),
	"an origin has no user information": options("trusted_origins https://user@app.example.com"),
	"has an empty port":                 options("trusted_origins https://app.example.com:"),
	"has a port that no browser sends":  options("trusted_origins https://app.example.com:70000"),
	"https://:8443":                     options("trusted_origins https://:8443"),
	"has a host that no browser sends":  options("trusted_origins https://<app>"),
	"not just '10'":                     options("rate_limit 10"),
	"rate_limit: '60'":                  options("rate_limit 10 60"),
	"rate_limit: 'ten'":                 options("rate_limit ten 1m"),
	"rate_limit: the count 0":           options("rate_limit 0 1m"),
	"rate_limit: the window 1000h0m0s":  options("rate_limit 10 1000h"),
	"rate_limit: the key is empty":      options(`rate_limit 10 1m ""`),
	`the key "everybody"`:               options("rate_limit 10 1m everybody"),
	"rate_limit: there are two limits":  options("rate_limit 10 1m", "rate_limit 20 60s"),
	"rate_limit: it is off":             options("rate_limit off", "rate_limit 10 1m"),
	"'off' is given twice":              options("rate_limit off", "rate_limit off"),
	"there is nothing to count":         options("rate_limit off", "limit_store down"),
	"limit_store: this Caddy has no":    options("limit_store redis localhost:6379"),
	"rate_limits: json":                 inJSON(`"rate_limits": "10 1m"`),
	"rate_limit: the window 60ns":       inJSON(`"rate_limits": [{"count": 10, "window": 60}]`),
	"expires_after: 5ns":                inJSON(`"expires_after": 5`),
	"timeout: 10ns":                     inJSON(`"timeout": 10`),
	"unknown field":                     inJSON(`"rate_limit": {"count": 10}`),

	"the word behind":                 site("xai_ephemeral_token session"),
	"stands in the config itself":     options("api_key " + caddytest.Key),
	"prints its environment":          {caddyfile: options().caddyfile, key: caddytest.Key, environ: true},
	"has a ${…} in it":                environment("${KEY}"),
	"is in quotes":                    environment(`"` + caddytest.Key + `"`),
	"begins with Bearer":              environment("Bearer " + caddytest.Key),
	"is a line like NAME=value":       environment("XAI_API_KEY=" + caddytest.Key),
	"looks like the path of a file":   environment("/run/secrets/xai_api_key"),
	"not ASCII":                       environment("xai–key"),
	"is no placeholder of Caddy's":    options("api_key {XAI_API_KEY}"),
	"is plain http":                   options("endpoint http://xai.example.com/"),
	"without a matcher":               site("root * DIR", "file_server", "xai_ephemeral_token"),
	"gives tokens to anybody":         site("handle {", "basic_auth {", "alice "+documentedHash, "}", "reverse_proxy localhost:3000", "}", "handle /session {", "xai_ephemeral_token", "}"),
	"replaces the Cache-Control":      site("header {", "-Server", "Cache-Control max-age=60", "}", theLine),
	"deletes the Cache-Control":       site("header -Cache-Control", theLine),
	"the Access-Control-Allow-Origin": site("header >Access-Control-Allow-Origin *", theLine+" {", "trusted_origins https://app.example.com", "}"),

	"before reverse_proxy and after":  site("route {", "reverse_proxy localhost:3000", theLine, "}"),
	"and before reverse_proxy":        site("handle {", "reverse_proxy localhost:3000", "}", theLine),
	"only the first one that does":    site("handle /session {", "header X-Frame-Options DENY", "}", "handle {", theLine, "}"),
	"/index.html first":               site("root * DIR", "try_files {path} /index.html", "file_server", theLine),
	"where file_server then answers":  site("root * DIR", "handle {", "try_files {path} /index.html", "file_server", "}", theLine),
	"try_files ends it with an error": site("root * DIR", "try_files {path} =404", theLine),
	"php_fastcgi before it":           site("root * DIR", "route {", "php_fastcgi localhost:9000", theLine, "}"),
	"rewrite changes the path":        site("rewrite * /app{uri}", "reverse_proxy localhost:3000", theLine),
	"redir before it":                 site("redir https://www.example.com{uri}", theLine),
	"redir in a handle":               site("handle {", "redir https://www.example.com{uri}", "}", theLine),
	"is taken away from its path":     site("handle_path /api/* {", "xai_ephemeral_token /api/session", "}"),
	"lets only /api/* through":        site("handle /api/* {", theLine, "}"),
	"lets only /token through":        site("handle /token {", theLine, "}"),
	"exclude each other":              site("@app not path /session", "handle @app {", theLine, "}"),
	"lets only GET through":           site("@session {", "method GET", "path /session", "}", "xai_ephemeral_token @session"),
	"lets only the host":              site("@session {", "host www.example.com", "path /session", "}", "xai_ephemeral_token @session"),
	"the method directive makes it":   site("method GET", theLine),
	"another xai_ephemeral_token":     site(theLine, theLine+" {", "timeout 5s", "}"),
	"a site block or terminal route":  {caddyfile: "http://example.com:PORT/session {\nheader X-Frame-Options DENY\n}\nhttp://example.com:PORT {\n" + theLine + "\n}\n", key: caddytest.Key},
}

// quoted returns the messages that begin the rows of tables, and the items of lists,
// in a section.
func quoted(t *testing.T, section string) []string {
	t.Helper()
	_, text, found := strings.Cut(readDocument(t, "docs/troubleshooting.md"), "\n## "+section+"\n")
	if !found {
		t.Fatalf("there is no section %s", section)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var messages []string
	for _, match := range regexp.MustCompile("(?m)^(?:\\| |- )(?:`` (.+?) ``|`([^`]+)`)").FindAllStringSubmatch(text, -1) {
		messages = append(messages, cmp.Or(match[1], match[2]))
	}
	return messages
}

// TestTroubleshootingMessages provokes what Caddy says at load, word for word as
// docs/troubleshooting.md quotes it. What a list begins with is said in each.
func TestTroubleshootingMessages(t *testing.T) {
	s := caddytest.Start(t, nil, "http://SITE2 {\n}\n")
	s.WriteFile("index.html", "<html>")
	messages := append(quoted(t, "Caddy does not start"), quoted(t, "Caddy warns when it starts")...)
	for part := range causes {
		if n := countContaining(messages, part); n != 1 {
			t.Errorf("%d messages have %q in them", n, part)
		}
	}
	const never = "never reaches xai_ephemeral_token: "
	for _, message := range messages {
		t.Run(message[:min(40, len(message))], func(t *testing.T) {
			for part, cause := range causes {
				if strings.Contains(message, part) {
					want := strings.ReplaceAll(regexp.QuoteMeta(message), "…", ".*")
					if said := cause.load(t, s); !regexp.MustCompile("(?m)(^|: |" + never + ")" + want + "($|, at Caddyfile:)").MatchString(said) {
						t.Errorf("Caddy says %q, want %q", said, message)
					}
					return
				}
			}
			t.Errorf("nobody knows how to provoke %q", message)
		})
	}
}

func countContaining(texts []string, part string) (count int) {
	for _, text := range texts {
		if strings.Contains(text, part) {
			count++
		}
	}
	return count
}

// load returns what Caddy says, as an error or in warnings.
func (c cause) load(t *testing.T, s *caddytest.Server) string {
	t.Helper()
	t.Setenv("XAI_API_KEY", c.key)
	if c.environ {
		args := os.Args
		os.Args = append(slices.Clone(args), "--environ") // as this process could have been started
		t.Cleanup(func() { os.Args = args })
	}
	before := len(s.Logged())
	var err error
	if c.handler == "" {
		err = s.Load(c.caddyfile)
	} else {
		err = s.LoadJSON(s.Expand(`{"admin": {"listen": "ADMIN"}, "apps": {"http": {"servers": {"a": {"listen": ["SITE"], "routes": [{"handle": [` +
			`{"handler": "xai_ephemeral_token", ` + c.handler + `}]}]}}}}}`))
	}
	if err != nil {
		return err.Error()
	}
	var said strings.Builder
	for _, entry := range s.Logged()[before:] {
		if entry["level"] == "warn" {
			said.WriteString(entry["msg"].(string) + "\n")
		}
	}
	return said.String()
}
