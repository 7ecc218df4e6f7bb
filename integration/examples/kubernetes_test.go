// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package examples

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-xai/caddy-xai-ephemeral-token/internal/caddytest"
)

// The parts of Kubernetes' objects that the example uses. A field that is not
// here is an error, so a typo is one.
type (
	object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   metadata
	}
	metadata struct {
		Name   string
		Labels map[string]string
	}
	deployment struct {
		object `yaml:",inline"`
		Spec   struct {
			Replicas int
			Selector struct {
				MatchLabels map[string]string `yaml:"matchLabels"`
			}
			Template struct {
				Metadata metadata
				Spec     pod
			}
		}
	}
	pod struct {
		AutomountServiceAccountToken *bool           `yaml:"automountServiceAccountToken"`
		SecurityContext              securityContext `yaml:"securityContext"`
		Containers                   []container
		Volumes                      []volume
	}
	securityContext struct {
		RunAsNonRoot             bool              `yaml:"runAsNonRoot"`
		RunAsUser                int               `yaml:"runAsUser"`
		RunAsGroup               int               `yaml:"runAsGroup"`
		FSGroup                  int               `yaml:"fsGroup"`
		SeccompProfile           map[string]string `yaml:"seccompProfile"`
		AllowPrivilegeEscalation *bool             `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool              `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop []string }
	}
	container struct {
		Name, Image string
		Ports       []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		SecurityContext securityContext `yaml:"securityContext"`
		ReadinessProbe  probe           `yaml:"readinessProbe"`
		LivenessProbe   probe           `yaml:"livenessProbe"`
		Resources       struct{ Requests, Limits map[string]string }
		VolumeMounts    []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
	}
	probe struct {
		HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
	}
	volume struct {
		Name      string
		ConfigMap struct{ Name string } `yaml:"configMap"`
		EmptyDir  map[string]string     `yaml:"emptyDir"`
		Secret    struct {
			SecretName  string `yaml:"secretName"`
			DefaultMode int    `yaml:"defaultMode"`
		}
	}
	service struct {
		object `yaml:",inline"`
		Spec   struct {
			Selector map[string]string
			Ports    []struct {
				Name       string
				Port       int
				TargetPort string `yaml:"targetPort"`
			}
		}
	}
	kustomization struct {
		APIVersion         string `yaml:"apiVersion"`
		Kind               string
		Resources          []string
		ConfigMapGenerator []struct {
			Name  string
			Files []string
		} `yaml:"configMapGenerator"`
		Images []struct {
			Name    string
			NewName string `yaml:"newName"`
			NewTag  string `yaml:"newTag"`
		}
	}
)

func TestExampleKubernetes(t *testing.T) {
	var (
		deploy  deployment
		svc     service
		kustom  kustomization
		volumes = make(map[string]volume)
		mounts  = make(map[string]string)
	)
	decodeYAML(t, &deploy, "kubernetes", "deployment.yaml")
	decodeYAML(t, &svc, "kubernetes", "service.yaml")
	decodeYAML(t, &kustom, "kubernetes", "kustomization.yaml")
	template := deploy.Spec.Template
	caddy := template.Spec.Containers[0]
	for _, volume := range template.Spec.Volumes {
		volumes[volume.Name] = volume
	}
	for _, mount := range caddy.VolumeMounts {
		mounts[mount.Name] = mount.MountPath
	}

	t.Run("the secret is where the Caddyfile looks for it", func(t *testing.T) {
		// kubectl create secret generic <name> --from-file=<key>=<file>
		command := caddytest.ReadmeCommand(t, "kubernetes", "kubectl create secret generic ")
		key, _, _ := strings.Cut(strings.TrimPrefix(command[5], "--from-file="), "=")
		if secret := volumes["xai-api-key"].Secret; command[4] != secret.SecretName || secret.DefaultMode != 0o440 {
			t.Errorf("the command makes %s, and the deployment mounts %+v", command[4], secret)
		}
		if file := mounts["xai-api-key"] + "/" + key; file != keyFile(t, "kubernetes") {
			t.Errorf("the key is at %s, and the Caddyfile reads %s", file, keyFile(t, "kubernetes"))
		}
	})
	t.Run("the config is where Caddy looks for it", func(t *testing.T) {
		generated := kustom.ConfigMapGenerator[0]
		if volumes["caddyfile"].ConfigMap.Name != generated.Name || !slices.Equal(generated.Files, []string{"Caddyfile"}) || mounts["caddyfile"] != "/etc/caddy" {
			t.Errorf("got %+v and %v", generated, mounts)
		}
	})
	t.Run("what Caddy writes to is writable, and nothing else", func(t *testing.T) {
		c := caddy.SecurityContext
		if !c.ReadOnlyRootFilesystem || c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation ||
			!slices.Equal(c.Capabilities.Drop, []string{"ALL"}) || !template.Spec.SecurityContext.RunAsNonRoot {
			t.Errorf("got %+v", c)
		}
		if mounts["data"] != "/data" || mounts["config"] != "/config" || len(mounts) != len(volumes) {
			t.Errorf("got %v", mounts)
		}
	})
	t.Run("the service and the probes reach Caddy", func(t *testing.T) {
		labels := template.Metadata.Labels
		if !maps.Equal(deploy.Spec.Selector.MatchLabels, labels) || !maps.Equal(svc.Spec.Selector, labels) {
			t.Errorf("the labels are %v", labels)
		}
		port := caddy.Ports[0]
		if port.ContainerPort != 8080 || svc.Spec.Ports[0].TargetPort != port.Name ||
			caddy.ReadinessProbe.HTTPGet.Port != port.Name || caddy.LivenessProbe.HTTPGet.Path != "/healthz" {
			t.Errorf("got %+v", caddy)
		}
	})
	t.Run("kubectl puts it together", func(t *testing.T) {
		t.Chdir(caddytest.Root(t))
		kubectl, err := exec.LookPath("kubectl")
		if err != nil {
			t.Skip("there is no kubectl to ask")
		}
		output, err := exec.CommandContext(t.Context(), kubectl, "kustomize", "examples/kubernetes").CombinedOutput() //nolint:gosec // what LookPath found
		if err != nil || !strings.Contains(string(output), "image: "+kustom.Images[0].NewName+":"+kustom.Images[0].NewTag) {
			t.Errorf("kubectl says %v: %s", err, output)
		}
	})
}
