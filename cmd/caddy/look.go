// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// lookBeforeListening returns an error if args run a config and somebody listens
// on one of its addresses already.
//
// Caddy itself would share the address (SO_REUSEPORT, which it needs for reloads),
// and the system would give half of the connections to a quickstart that was
// forgotten in another terminal, which does not know the tokens of this one.
//
// It looks once, before Caddy starts: "caddy start" runs "caddy run", and a reload
// is a request to the Caddy that runs. Whatever it cannot make out, a broken config
// among it, is left to Caddy, which says what is wrong.
func lookBeforeListening(args []string) error {
	for _, address := range listenAddresses(args) {
		if err := look(address); err != nil {
			return fmt.Errorf("%w; is another Caddy still running?", err)
		}
	}
	return nil
}

// listenAddresses returns the addresses of the config that args run, the one of the
// admin API among them.
func listenAddresses(args []string) []caddy.NetworkAddress {
	var config caddy.Config
	var app caddyhttp.App
	content, ok := readConfig(args)
	if !ok || len(content) > 0 && json.Unmarshal(content, &config) != nil {
		return nil
	}
	if raw := config.AppsRaw["http"]; raw != nil && json.Unmarshal(raw, &app) != nil {
		return nil
	}
	var listens []string
	for _, server := range app.Servers {
		listens = append(listens, server.Listen...)
	}
	slices.Sort(listens) // so that the error names the same one each time
	switch {
	case config.Admin == nil:
		listens = append(listens, caddy.DefaultAdminListen)
	case !config.Admin.Disabled:
		listens = append(listens, cmp.Or(config.Admin.Listen, caddy.DefaultAdminListen))
	}

	var addresses []caddy.NetworkAddress
	for _, listen := range listens {
		address, err := caddy.ParseNetworkAddress(caddy.NewReplacer().ReplaceAll(listen, ""))
		if err == nil {
			addresses = append(addresses, address.Expand()...)
		}
	}
	return addresses
}

// readConfig returns the config that args run, as JSON. It reads neither a config that
// can be read only once, nor one whose variables Caddy has yet to set, nor the one that
// Caddy saved.
func readConfig(args []string) (content []byte, ok bool) {
	if len(args) == 0 || args[0] != "run" {
		return nil, false
	}
	run := new(cobra.Command)
	caddycmd.Commands()["run"].CobraFunc(run)
	if run.ParseFlags(args[1:]) != nil {
		return nil, false
	}
	flags := caddycmd.Flags{FlagSet: run.Flags()}
	file := flags.String("config")
	if file == "-" || flags.Bool("resume") || run.Flags().Changed("envfile") {
		return nil, false
	}
	// Caddy reads it again and logs that, so nothing of it is logged here.
	_, logger, buffer := caddy.BufferedLog()
	content, _, _, err := caddycmd.LoadConfig(file, flags.String("adapter"))
	buffer.FlushTo(zap.NewNop())
	caddy.UnbufferDefaultLogger(logger)
	return content, err == nil
}

// look returns an error if somebody listens on an address.
func look(address caddy.NetworkAddress) error {
	if address.IsFdNetwork() {
		return nil // a listener that whoever started us has opened
	}
	ctx := context.Background()
	if address.IsUnixNetwork() {
		// A file that a crash left is no reason to refuse, a listener behind it is.
		path, _, _ := strings.Cut(address.Host, "|") // without its permissions
		conn, err := new(net.Dialer).DialContext(ctx, address.Network, path)
		if err != nil {
			return nil //nolint:nilerr // nobody is there
		}
		_ = conn.Close()
		return &net.OpError{Op: "listen", Net: address.Network, Err: fmt.Errorf("%s: %w", path, syscall.EADDRINUSE)}
	}
	// Without SO_REUSEPORT the system tells.
	listener, err := new(net.ListenConfig).Listen(ctx, address.Network, address.JoinHostPort(0))
	if errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	if err == nil {
		_ = listener.Close()
	}
	return nil
}
