// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package caddytest

import (
	"bytes"
	"testing"

	"github.com/spf13/cobra"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// RunMintCommand runs "caddy xai-ephemeral-token" in this process.
func RunMintCommand(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	registered := caddycmd.Commands()["xai-ephemeral-token"]
	command := &cobra.Command{
		Use: registered.Name + " " + registered.Usage, Short: registered.Short, Long: registered.Long,
		SilenceUsage: true,
	}
	registered.CobraFunc(command)
	var out, errOut bytes.Buffer
	command.SetOut(&out)
	command.SetErr(&errOut)
	command.SetArgs(args)
	err = command.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}
