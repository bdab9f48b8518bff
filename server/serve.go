package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/internal/s3api"
)

// DefaultListen is where a server is found if nothing else is said: the address
// that older Amplify clients have built in for local work.
const DefaultListen = "127.0.0.1:20005"

// Documents that are neither S3 nor Cognito lie below this path, which cannot
// begin with the name of a bucket.
const wellKnown = "/.well-known/cubby/"

// answerTime is how long an answer may take that has no deadline of its own.
const answerTime = time.Minute

// ServeHTTP answers a request of any of the protocols.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			s.log.ErrorContext(r.Context(), "request panicked", "method", r.Method, "path", shorten(r.URL.EscapedPath(), ""), "panic", p, "stack", string(debug.Stack()))
			panic(http.ErrAbortHandler) // part of an answer may be out, so it is broken off
		} else if p != nil {
			panic(p)
		}
	}()
	s.pace(w, r)
	if s.dev && !s.ours(r.Host) {
		http.Error(w, "This is a development server. It answers only names of this machine; see hosts: in cubby.yaml.", http.StatusMisdirectedRequest)
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, wellKnown):
		s.serveDocument(newReply(w, r), r)
	case s.isCognito(r):
		s.auth.ServeHTTP(w, r)
	default:
		s.s3.ServeHTTP(newReply(w, r), r)
	}
}

// isCognito reports whether a request is for the identity pool or the user pool:
// a call names its operation in a header of its own, a preflight announces that
// header, and the pool's documents lie below its id, which is no bucket's name.
func (s *Server) isCognito(r *http.Request) bool {
	if r.Header.Get("X-Amz-Target") != "" {
		return true
	}
	if r.Method == http.MethodOptions && strings.Contains(strings.ToLower(r.Header.Get("Access-Control-Request-Headers")), "x-amz-target") {
		return true
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/")
	if ok {
		rest, ok = strings.CutPrefix(rest, s.users.ID())
	}
	return ok && strings.HasPrefix(rest, "/.well-known/")
}

// ours reports whether host is a name of this machine or one of the settings.
func (s *Server) ours(host string) bool {
	host = s3api.HostName(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ip.IsLoopback()
	}
	for _, h := range s.hosts {
		if host == h || strings.HasSuffix(host, "."+h) {
			return true
		}
	}
	return false
}

// serveDocument answers with what clients need to know of the server, none of
// which is secret, or with what operators may.
func (s *Server) serveDocument(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	name := strings.TrimPrefix(r.URL.Path, wellKnown)
	if d := operatorDocument(name); d != nil {
		s.serveOperator(w, r, d)
		return
	}
	h.Set("Access-Control-Allow-Origin", "*")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "This document can only be read.", http.StatusMethodNotAllowed)
		return
	}
	if name != outputsFile {
		http.Error(w, "There is no such document.", http.StatusNotFound)
		return
	}
	text, err := s.document.text(r.Context(), s, baseURL(r))
	if err != nil {
		s.log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
		http.Error(w, "The server has a fault.", http.StatusInternalServerError)
		return
	}
	h.Set("Content-Type", "application/json")
	w.Write(text)
}

// Serve answers requests that reach the listeners until ctx ends, then finishes
// those under way, for at most 20 seconds. It closes the listeners.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	hs := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      answerTime, // what takes longer moves its deadline
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ConnState:         s.limits.conns.state,
		ConnContext:       connContext,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // of what strangers do to connections

		DisableGeneralOptionsHandler: true,
	}
	errs := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { errs <- hs.Serve(corkedListener{l}) }()
	}
	var err error
	select {
	case err = <-errs:
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if e := hs.Shutdown(end); e != nil {
		hs.Close()
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// Listeners are the open addresses of a server.
type Listeners struct {
	All []net.Listener
	// URL and URLTLS are where clients reach them over HTTP and HTTPS; "" where
	// there is none.
	URL, URLTLS string
}

// OpenListeners opens the addresses of the settings.
func (c *Config) OpenListeners() (_ *Listeners, err error) {
	if c.Listen == "" && c.ListenTLS == "" {
		return nil, fmt.Errorf("listen: name an address, such as %s: %w", DefaultListen, fs.ErrInvalid)
	}
	ls := new(Listeners)
	defer func() {
		if err != nil {
			ls.Close()
		}
	}()
	if c.Listen != "" {
		l, err := net.Listen("tcp", c.Listen)
		if err != nil {
			return nil, err
		}
		ls.All = append(ls.All, l)
		ls.URL = "http://" + reachable(l)
	}
	if c.ListenTLS != "" {
		if err := c.checkTLS(); err != nil {
			return nil, err
		}
		cert, err := tls.LoadX509KeyPair(c.path(c.TLSCert), c.path(c.TLSKey))
		if err != nil {
			return nil, err
		}
		l, err := net.Listen("tcp", c.ListenTLS)
		if err != nil {
			return nil, err
		}
		ls.All = append(ls.All, tls.NewListener(corkedListener{l}, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
		ls.URLTLS = "https://" + reachable(l)
	}
	return ls, nil
}

// reachable returns the address of l as a client on this machine can use it.
func reachable(l net.Listener) string {
	addr := l.Addr().(*net.TCPAddr)
	if addr.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(addr.Port))
	}
	return addr.String()
}

// PublicURL is where clients elsewhere reach the listeners l of the server: over
// HTTPS if there is that, and under the first of the names in Hosts, if any.
func (c *Config) PublicURL(l *Listeners) string {
	base := cmp.Or(l.URLTLS, l.URL)
	if len(c.Hosts) == 0 || base == "" {
		return base
	}
	u, err := url.Parse(base)
	if err != nil {
		return base
	}
	host, port := c.Hosts[0], u.Port()
	if _, p, err := net.SplitHostPort(host); err == nil {
		port = p // which the settings know better
	}
	host = strings.Trim(s3api.HostName(host), "[]")
	if u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		u.Host = host
	} else {
		u.Host = net.JoinHostPort(host, port)
	}
	return u.String()
}

// Close closes the listeners. It may be called when Serve has done so.
func (l *Listeners) Close() {
	for _, l := range l.All {
		l.Close()
	}
}

// Any is the URL of HTTP if there is one, else that of HTTPS.
func (l *Listeners) Any() string {
	if l.URL != "" {
		return l.URL
	}
	return l.URLTLS
}
