// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package xaitoken

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/xai"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "xai-ephemeral-token",
		Usage: "[--api-key <placeholder>] [--expires-after <duration>] [--endpoint <url>]",
		Short: "Mints an ephemeral token for xAI's Voice Agent",
		Long: `
Mints one token, as the xai_ephemeral_token directive would, and prints xAI's
JSON to stdout. It shows whether an API key works from this machine, and yields
a token to try things with: it opens one session.

--api-key
    Where the key is: a placeholder such as {env.XAI_API_KEY}, the default, or
    {file./run/secrets/xai_api_key}, in quotes for the shell. A key itself works,
    but other users of the machine can see it while the command runs.

--expires-after
    How long the token can be used to open a session, from 1s to 1h.

--endpoint
    The URL that mints tokens.

If there is no token, the command says on stderr what xAI answered and what that
usually means, and exits with a status that is not zero. It never prints the key.
`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.Flags().String("api-key", defaultAPIKey, "Placeholder of the API key")
			cmd.Flags().String("expires-after", "5m", "Lifetime of the token")
			cmd.Flags().String("endpoint", defaultEndpoint, "URL that mints tokens")
			cmd.Args = func(_ *cobra.Command, args []string) error {
				if len(args) > 0 { // which may be a key, so it is not quoted
					return errors.New("xai-ephemeral-token takes flags only; the key goes into --api-key")
				}
				return nil
			}
			cmd.RunE = runCommand
		},
	})
}

func runCommand(cmd *cobra.Command, _ []string) error {
	handler, err := handlerFromFlags(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := caddy.NewContext(caddy.Context{Context: cmd.Context()})
	defer cancel()
	handler.logger = caddy.Log()
	if err := handler.provision(ctx); err != nil {
		return inFlags(err)
	}
	defer func() { _ = handler.Cleanup() }() // has nothing that could fail

	key, err := handler.resolveKey(caddy.NewReplacer())
	if err != nil {
		return fmt.Errorf("--api-key: %s is empty outside of a request, or no header can carry it", handler.shownAPIKey())
	}
	if mistake := handler.apiKeyMistake(); mistake != "" {
		cmd.PrintErrln("Warning: " + mistake + ".")
	}
	if isLiteral(handler.APIKey) {
		cmd.PrintErrln("Warning: other users of this machine can see a key in the arguments of a command.")
	}
	minted, err := handler.mintForCommand(cmd.Context(), key)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), strings.TrimSpace(string(minted.Body)))
	return err
}

func handlerFromFlags(cmd *cobra.Command) (*Handler, error) {
	handler := new(Handler)
	var lifetime string
	for name, value := range map[string]*string{
		"api-key": &handler.APIKey, "expires-after": &lifetime, "endpoint": &handler.Endpoint,
	} {
		var err error
		if *value, err = cmd.Flags().GetString(name); err != nil {
			return nil, err
		}
		if *value == "" {
			return nil, fmt.Errorf("--%s is empty", name)
		}
	}
	expiresAfter, err := caddy.ParseDuration(lifetime)
	if err != nil || expiresAfter <= 0 {
		return nil, fmt.Errorf("--expires-after: '%s' is not a duration from 1s to 1h", lifetime)
	}
	handler.ExpiresAfter = caddy.Duration(expiresAfter)
	return handler, nil
}

// inFlags names a flag where an error names the option of the same name.
func inFlags(err error) error {
	for option, flag := range map[string]string{
		"api_key": "--api-key", "expires_after": "--expires-after", "endpoint": "--endpoint",
	} {
		if rest, ok := strings.CutPrefix(err.Error(), option+": "); ok {
			return fmt.Errorf("%s: %s", flag, rest)
		}
	}
	return err
}

// mintForCommand explains a failure to a person who sees nothing else.
func (h *Handler) mintForCommand(ctx context.Context, key string) (*xai.Token, error) {
	minted, err := h.client.Mint(ctx, key, uuid.NewString(), *h.Retries)
	failed, isFailure := errors.AsType[*xai.Error](err)
	if !isFailure {
		return minted, err
	}
	if failed.Status == 0 {
		return nil, fmt.Errorf("%w.\n\n%s\n\n%s", failed, failed.Message, hint(failed))
	}
	return nil, fmt.Errorf("%w.\n\nxAI answered %d %s: %s\n\n%s\n\nFor xAI's support: client request id %s, request id %q",
		failed, failed.Status, http.StatusText(failed.Status), failed.Message, hint(failed), failed.ClientRequestID, failed.RequestID)
}

// hint says what a failure usually means.
func hint(failed *xai.Error) string {
	switch {
	case failed.Status == http.StatusForbidden && !failed.IsJSON:
		return "This is not how xAI answers: something in front of it refused the call, such as Cloudflare or a proxy of this network. " +
			"Look at the address that this machine calls from, and at its proxy settings."
	case failed.Status == http.StatusForbidden:
		return "xAI knows the key, but does not let it do this: it is blocked or disabled, or it has no access to voice. " +
			"Look at the key and its permissions in xAI's console."
	case failed.Status == http.StatusNotFound:
		return "There is nothing at this URL. Look at --endpoint."
	case failed.RetryAfter > 0:
		return fmt.Sprintf("xAI asks to wait for %s.", failed.RetryAfter)
	case strings.Contains(failed.Message, "x509: certificate signed by unknown authority"):
		return "Nobody whom this machine trusts signed the certificate of the endpoint. If a company's proxy stands between, tell of its CA: " +
			"in SSL_CERT_FILE for this command, and with tls_trust_pool in the transport of the directive."
	default:
		return hints[failed.Failure]
	}
}

var hints = map[error]string{
	xai.ErrCanceled:    "The command was interrupted.",
	xai.ErrAuth:        "The key is wrong or was revoked. Is it the whole key, and one of xAI's?",
	xai.ErrRefused:     "xAI does not like what it was asked. Look at its words above, at --expires-after and at --endpoint.",
	xai.ErrRedirect:    "xAI's API does not redirect. Look at --endpoint.",
	xai.ErrFailed:      "xAI itself has a problem. Try again in a minute.",
	xai.ErrUnreachable: "This machine cannot talk to the endpoint. Look at its network, DNS, firewall and proxy settings, and at --endpoint.",
	xai.ErrUnusable:    "That was not xAI's API. Look at --endpoint.",
	xai.ErrRateLimited: "The key works, but it, or its team, asked for too much, or has no credits left: xAI does not say how long to wait. " +
		"Try again in a minute, and look at the credits in xAI's console.",
	xai.ErrTimeout: "xAI is slow, or something between this machine and --endpoint swallows what is sent: a firewall, a proxy, a dead route.",
}
