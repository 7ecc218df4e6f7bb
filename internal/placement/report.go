// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"net/http"
	"slices"
)

// warnings returns what is said of the place of the handler.
func (w *walk) warnings() []string {
	var arrived []*arrival
	for _, target := range w.targets() {
		found := w.try(target)
		if len(found.failed) > 0 {
			return []string{w.neverReached(found.failed)}
		}
		arrived = append(arrived, found.arrived...)
	}
	var said []string
	for _, verdict := range []func([]*arrival) string{w.withoutSignIn, w.losesHeaders, w.hidesSite} {
		if warning := verdict(arrived); warning != "" {
			said = append(said, warning)
		}
	}
	return said
}

// arrival is a request that reaches the handler, or does not.
type arrival struct {
	outcome
	asked   target
	path    string // that the client asked for
	askedAt string // the host
	named   bool   // whether the config names the host
}

// attempts are what became of the requests for one target: those that arrived, or
// those that did not if it is certain that none can.
type attempts struct {
	arrived, failed []*arrival
	uncertain       bool
}

// try follows requests for a target at every host of the site.
func (w *walk) try(target target) attempts {
	var found attempts
	named, other, hasOther := w.siteHosts()
	for _, host := range named {
		w.tryAt(host, true, target, &found)
	}
	// An unnamed host counts if the site has something for it.
	if hasOther && (len(named) == 0 || len(found.arrived) == 0 && !w.refuses(other)) {
		w.tryAt(other, false, target, &found)
	}
	if found.uncertain || len(found.arrived) > 0 {
		found.failed = nil
	}
	return found
}

// tryAt follows requests for a target at one host until one arrives.
func (w *walk) tryAt(host string, isNamed bool, target target, found *attempts) {
	for _, path := range target.requests {
		o := w.follow(w.handler.Methods[0], host, path)
		if o.end == reached && !slices.Contains(w.handler.Methods, o.method) {
			o.end, o.by = changed, "method"
		}
		made := &arrival{o, target, path, host, isNamed}
		switch o.end {
		case reached:
			found.arrived = append(found.arrived, made)
			return
		case unsure:
			found.uncertain = true
		default:
			found.failed = append(found.failed, made)
		}
	}
}

// refuses reports whether the site turns away who asks for its page at a host.
func (w *walk) refuses(host string) bool {
	o := w.answerAt(host, "/")
	return o.end == taken && o.refuses && o.by != ""
}

// answerAt returns what would answer a page without the handler.
func (w *walk) answerAt(host, path string) outcome {
	w.beyond = true
	defer func() { w.beyond = false }()
	return w.follow(http.MethodGet, host, path)
}

func (w *walk) withoutSignIn(arrived []*arrival) string {
	for _, at := range arrived {
		// A matcher that depends on the request, such as that of a key in a header or
		// of an address, may stand in for a sign-in.
		if at.signedIn != no || at.assumed {
			continue
		}
		if name := w.signInElsewhere(w.handler.Methods[0], at.askedAt, at.path); name != "" {
			return w.sayWithoutSignIn(at, name)
		}
	}
	return ""
}

func (w *walk) losesHeaders(arrived []*arrival) string {
	for _, at := range arrived {
		if value, lost := cacheControlAfter(at.headers); lost {
			return w.sayCacheControl(at, value)
		}
		if value, lost := allowOriginAfter(at.headers, w.handler.TrustedOrigins); lost {
			return w.sayAllowOrigin(at, value)
		}
	}
	return ""
}

// hidesSite looks whether pages of a site would be there without the handler.
func (w *walk) hidesSite(arrived []*arrival) string {
	if len(arrived) == 0 || w.handler.PassThru {
		return ""
	}
	host := arrived[0].askedAt
	takes := func(path string) bool {
		o := w.follow(http.MethodGet, host, path)
		return o.end == reached && !o.assumed
	}
	if !takes("/" + unnamed) {
		return "" // a path leads to it
	}
	for _, path := range append([]string{"/", "/" + unnamed}, w.samples(nil)...) {
		if !takes(path) {
			continue
		}
		hidden := w.answerAt(host, path)
		if hidden.end == taken && !hidden.refuses && !w.isForOtherHosts(hidden, path) {
			return w.sayHidesSite(hidden.by)
		}
	}
	return ""
}

// isForOtherHosts reports whether what the handler hides is not hidden, because it
// is there for hosts that do not lead to the handler.
func (w *walk) isForOtherHosts(hidden outcome, path string) bool {
	return slices.ContainsFunc(w.mentionedHosts(), func(host string) bool {
		o := w.follow(http.MethodGet, host, path)
		return o.end == excluded && w.answerAt(host, path).at == hidden.at
	})
}
