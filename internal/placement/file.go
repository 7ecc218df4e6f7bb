// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

package placement

import (
	"cmp"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
)

const (
	pathPlaceholder = "{http.request.uri.path}"
	filePlaceholder = "{http.matchers.file.relative}"
)

// matchFile tries the files of a matcher as Caddy would. A file that is not there
// may come later, so that such a matcher is unsure unless one that it falls back to
// is there, or needs not be.
func (w *walk) matchFile(m *fileserver.MatchFile, s *state) answer {
	fallsBack := m.TryPolicy == "first_exist_fallback"
	if s.path == "" || !fallsBack && m.TryPolicy != "" && m.TryPolicy != "first_exist" || !s.onDisk(m.FileSystem) {
		return maybe
	}
	files := m.TryFiles
	if files == nil {
		files = []string{pathPlaceholder}
	}
	for i, pattern := range files {
		if isErrorCode(pattern) {
			s.fileError = true
			return yes
		}
		file, ok := s.expand(pattern)
		if !ok || strings.ContainsAny(pattern, `*?[\`) || splits(m.SplitPath, file) {
			return maybe
		}
		relative := cleanFile(file)
		if !fallsBack || i < len(files)-1 {
			switch w.fileExists(m, s, relative, strings.HasSuffix(pattern, "/")) {
			case maybe:
				return maybe
			case no:
				continue
			}
		}
		s.file, s.fileBy = relative, "try_files"
		if len(m.SplitPath) > 0 {
			s.fileBy = "php_fastcgi"
		}
		return yes
	}
	s.missing = true
	return maybe
}

// fileExists treats what ends in a slash as a directory, all else as a file.
func (w *walk) fileExists(m *fileserver.MatchFile, s *state, relative string, wantsDirectory bool) answer {
	if strings.HasSuffix(relative, "/") != wantsDirectory && relative != "/" {
		return no
	}
	root, ok := s.expand(cmp.Or(m.Root, "{http.vars.root}"))
	if !ok {
		return maybe
	}
	name := caddyhttp.SanitizedPathJoin(root, relative)
	info, known := w.disk.stat(name)
	if !known {
		return maybe
	}
	return answerOf(info != nil && info.IsDir() == strings.HasSuffix(name, string(filepath.Separator)))
}

// cleanFile returns a file as a path below the root.
func cleanFile(file string) string {
	cleaned := path.Clean("/" + file)
	if strings.HasSuffix(file, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}

// splits reports whether Caddy would cut something off the file.
func splits(delimiters []string, file string) bool {
	file = strings.ToLower(file)
	for _, delimiter := range delimiters {
		if i := strings.Index(file, strings.ToLower(delimiter)); i >= 0 && i+len(delimiter) < len(file) {
			return true
		}
	}
	return false
}

// isErrorCode reports whether a file to try is an error, such as =404.
func isErrorCode(pattern string) bool {
	code, err := strconv.Atoi(strings.TrimPrefix(pattern, "="))
	return strings.HasPrefix(pattern, "=") && err == nil && code >= 100 && code <= 999
}

const (
	// maxStats bounds how often the disk is looked at for one handler.
	maxStats = 32

	// maxStatTime is how long a disk may take: a share that does not answer must not
	// hold a config up.
	maxStatTime = 100 * time.Millisecond
)

// disk remembers which files are there.
type disk struct {
	found map[string]fs.FileInfo
	slow  bool
}

// stat returns what is known of a file, nil for one that is not there.
func (d *disk) stat(name string) (info fs.FileInfo, known bool) {
	name = filepath.Clean(name)
	if info, ok := d.found[name]; ok {
		return info, true
	}
	if d.slow || len(d.found) >= maxStats {
		return nil, false
	}
	result := make(chan fs.FileInfo, 1)
	go func() {
		// Caddy, too, takes any error for a file that is not there.
		info, err := os.Stat(name)
		if err != nil {
			info = nil
		}
		result <- info
	}()
	timeout := time.NewTimer(maxStatTime)
	defer timeout.Stop()
	select {
	case info = <-result:
		d.found[name] = info
		return info, true
	case <-timeout.C:
		d.slow = true
		return nil, false
	}
}
