// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"

	"github.com/caddyserver/caddy/v2"
)

// What the api_key option expands to is looked at here and forgotten. It is
// expanded again for each request, and an exported field would end up in Caddy's
// trace log. No error and no warning has any of it.

// resolveKey returns what the api_key option expands to at this moment.
func (h *Handler) resolveKey(repl *caddy.Replacer) (string, error) {
	key := trimKey(repl.ReplaceAll(h.APIKey, ""))
	if key == "" || !httpguts.ValidHeaderFieldValue(key) {
		return "", errNoAPIKey
	}
	return key, nil
}

// trimKey cuts off what editors and terminals put around a key without showing it:
// white space, byte order marks and characters of no width.
func trimKey(key string) string {
	return strings.TrimFunc(key, func(r rune) bool {
		return unicode.IsSpace(r) || r == '\ufeff' || r == '\u2060' || r >= '\u200b' && r <= '\u200f'
	})
}

// shownAPIKey is the api_key option for logs and errors.
func (h *Handler) shownAPIKey() string {
	if isLiteral(h.APIKey) {
		return "REDACTED"
	}
	return h.APIKey
}

// isLiteral reports whether any of the key stands in the config itself.
func isLiteral(key string) bool {
	return strings.TrimSpace(caddy.NewEmptyReplacer().ReplaceAll(key, "")) != ""
}

// apiKeyIsPrinted reports whether Caddy printed the key when it started.
func (h *Handler) apiKeyIsPrinted() bool {
	return strings.Contains(h.APIKey, "{env.") && slices.ContainsFunc(os.Args, func(arg string) bool {
		return arg == "-e" || arg == "--environ" || arg == "--environ=true"
	})
}

var (
	placeholder = regexp.MustCompile(`\{([^{}]+)\}`)

	// pathPlaceholder is what a Caddyfile makes of {file.name}.
	pathPlaceholder = regexp.MustCompile(`\{http\.request\.uri\.path\.file\.([\w-]*)\}`)
)

// checkAPIKey refuses a key that is known to be of no use already.
func (h *Handler) checkAPIKey() error {
	if name := pathPlaceholder.FindStringSubmatch(h.APIKey); name != nil {
		return fmt.Errorf("api_key: in a Caddyfile {file.%s} is a part of the request's path; "+
			"to read the key from a file, write its path with a slash, such as {file./run/secrets/%[1]s}", name[1])
	}
	repl := caddy.NewReplacer()
	onlyGlobal := true
	for _, found := range placeholder.FindAllStringSubmatch(h.APIKey, -1) {
		if file, ok := strings.CutPrefix(found[1], "file."); ok {
			if err := checkReadable(file); err != nil {
				return fmt.Errorf("api_key: %s cannot be read: %w", found[0], err)
			}
		}
		_, known := repl.Get(found[1])
		onlyGlobal = onlyGlobal && known
	}
	if !onlyGlobal {
		return nil
	}
	key := trimKey(repl.ReplaceKnown(h.APIKey, ""))
	switch {
	case key == "":
		return fmt.Errorf("api_key: %s is empty; set it, or name another placeholder", h.APIKey)
	case strings.ContainsAny(key, "\r\n"):
		return fmt.Errorf("api_key: %s has a line break in it, which no key has; is there more in it than the key?", h.shownAPIKey())
	case !httpguts.ValidHeaderFieldValue(key):
		return fmt.Errorf("api_key: %s has a control character in it, which no key has", h.shownAPIKey())
	}
	return nil
}

// checkReadable says why a file cannot be read, without its name.
func checkReadable(name string) error {
	file, err := os.Open(name) //nolint:gosec // the owner's config names it
	if err == nil {
		_, err = file.Read(make([]byte, 1)) // opening a directory succeeds
		_ = file.Close()                    // which was only read
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return failed.Err
	}
	return nil // at the end of an empty file, which is another mistake
}

// keyMistakes are the forms in which a key does not work, and what is to be done.
var keyMistakes = []struct {
	form   *regexp.Regexp
	advice string
}{
	{
		regexp.MustCompile(`\$\{.*\}`),
		"the API key has a ${…} in it that nobody expanded; a Caddyfile knows {env.NAME}, and {$NAME} when it is read",
	}, {
		regexp.MustCompile(`^["'` + "`" + `“”‘’].*["'` + "`" + `“”‘’]$`),
		"the API key is in quotes, which are not a part of it; take them away where it is set",
	}, {
		regexp.MustCompile(`(?i)^Bearer\s`),
		"the API key begins with Bearer, which is added to it later; write the key alone",
	}, {
		regexp.MustCompile(`^(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=`),
		"the API key is a line like NAME=value; write the value alone",
	}, {
		regexp.MustCompile(`^(~?/|\.{1,2}/|[A-Za-z]:\\)`),
		"the API key looks like the path of a file; to read it from there, write {file./the/path}",
	}, {
		regexp.MustCompile(`[^\x00-\x7f]`),
		"the API key has characters that are not ASCII, which no key of xAI's has; was it copied from a formatted text?",
	},
}

// apiKeyMistake says what about the key, as far as it is known now, is probably not
// meant; nothing if there is nothing.
func (h *Handler) apiKeyMistake() string {
	repl := caddy.NewReplacer()
	key := trimKey(repl.ReplaceKnown(h.APIKey, ""))
	for _, mistake := range keyMistakes {
		if mistake.form.MatchString(key) || mistake.form.MatchString(h.APIKey) {
			return mistake.advice
		}
	}
	for _, found := range placeholder.FindAllStringSubmatch(h.APIKey, -1) {
		_, inEnvironment := os.LookupEnv(found[1])
		if _, known := repl.Get(found[1]); !known && inEnvironment {
			return fmt.Sprintf("%s is no placeholder of Caddy's, but the environment has %s; {env.%[2]s} is probably meant for the API key",
				found[0], found[1])
		}
	}
	return ""
}

// plainWord is what people write who forget the slash of the path.
var plainWord = regexp.MustCompile(`^[a-z][a-z0-9_/-]{0,19}$`)

// warnOfAPIKey logs what should be different about the key.
func (h *Handler) warnOfAPIKey() {
	if mistake := h.apiKeyMistake(); mistake != "" {
		h.logger.Warn(mistake)
	}
	switch {
	case plainWord.MatchString(h.APIKey) && !strings.HasPrefix(h.APIKey, "xai-"):
		h.logger.Warn("the word behind " + directive + " is taken for the API key, since it has no slash; " +
			"if it is the path of the endpoint, write it with one, as in: " + directive + " /session")
	case isLiteral(h.APIKey):
		h.logger.Warn("the API key stands in the config itself, where the admin API and the autosaved config show it; " +
			"a placeholder such as {env.XAI_API_KEY} or {file./run/secrets/xai_api_key} keeps it out")
	case h.apiKeyIsPrinted():
		h.logger.Warn("this Caddy prints its environment, and the API key with it, because it runs with --environ, as the service of Caddy's packages does; " +
			"a placeholder such as {file./run/secrets/xai_api_key} keeps the key out")
	}
}
