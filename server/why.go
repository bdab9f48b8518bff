package server

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/internal/gate"
	"github.com/cubby-storage/cubby/internal/s3api"
	"github.com/cubby-storage/cubby/internal/sigv4"
	"github.com/cubby-storage/cubby/internal/userpool"
)

// Denial is a question to the rules that was answered with no.
type Denial struct {
	Time   time.Time `json:"time"`
	Bucket string    `json:"bucket"`
	Key    string    `json:"key"`    // of a list, its prefix
	Action string    `json:"action"` // "" for what only operators may do
	// Identity, Username and Groups are those of the subject. Ids are cut short, here
	// and elsewhere, but for that of a user who is signed in: who knows all of a
	// guest's can be that guest.
	Identity string   `json:"identity,omitempty"`
	Username string   `json:"username,omitempty"`
	Groups   []string `json:"groups,omitempty"`
	Role     string   `json:"role"`              // "guest", "authenticated" beside the groups, or "function:NAME"
	Rule     string   `json:"rule,omitempty"`    // that would have allowed it but for its limits
	Nearest  string   `json:"nearest,omitempty"` // rule that would have allowed it to somebody else
	// Explanation is the answer in words, on one or a few lines.
	Explanation string `json:"explanation"`
}

// Denials are what the rules denied to one request.
type Denials struct {
	RequestID string   `json:"request_id"`
	Denials   []Denial `json:"denials"`
	Omitted   int      `json:"omitted,omitempty"` // how many more there were
}

// Why returns what the rules denied to a request. Only the last few thousand
// denials are kept; if there is none of this request the error is fs.ErrNotExist.
func (s *Server) Why(requestID string) (*Denials, error) {
	d := s.denials.of(requestID)
	if d == nil {
		return nil, fmt.Errorf("no denial of a request %q is kept: %w", requestID, fs.ErrNotExist)
	}
	return d, nil
}

// observe is told by the gate of each question.
func (s *Server) observe(tell func(Decision)) func(context.Context, gate.Check) {
	return func(ctx context.Context, c gate.Check) {
		if !c.Decision.Allowed && !c.Omits {
			s.denials.add(ctx, s3api.RequestID(ctx), newDenial(c))
		}
		if tell == nil {
			return
		}
		d := Decision{Bucket: c.Bucket, Key: c.Key, Action: c.Action, Operator: c.Operator, Decision: c.Decision}
		if c.Subject != nil {
			d.Identity = c.Subject.Identity
			d.Reason = explain(c)
			if c.Decision.Allowed && c.Decision.Rule == nil { // a list is not about one key
				d.Reason = fmt.Sprintf("%s of %q shows what may be listed there", c.Action, c.Key)
			}
		}
		tell(d)
	}
}

// explain returns the answer to c in words.
func explain(c gate.Check) string {
	switch {
	case c.Action == 0:
		return "only operators may do that to a bucket"
	case c.Limit != "" && c.Decision.Rule != nil:
		return fmt.Sprintf("%s on %q is given by `%s`, but %s", c.Action, c.Key, ruleAt(c.Decision.Rule), c.Limit)
	case c.Policy == nil:
		return fmt.Sprintf("%s on %q is denied, since the settings have no bucket %q", c.Action, c.Key, c.Bucket)
	}
	return c.Policy.Explain(c.Subject, c.Action, c.Key)
}

// oneLine returns what explain does on one line.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

// newDenial is what is kept of c.
func newDenial(c gate.Check) Denial {
	who := c.Subject
	if who == nil {
		who = new(access.Subject)
	}
	n := Denial{
		Time: time.Now().UTC(), Bucket: c.Bucket, Key: c.Key, Explanation: explain(c),
		Identity: cut(who.Identity, keptName), Username: cut(who.Username, keptName), Role: "guest",
	}
	if c.Action != 0 {
		n.Action = c.Action.String()
	}
	switch {
	case who.Function != "":
		n.Role = cut("function:"+who.Function, keptName)
	case who.Authenticated:
		n.Role = "authenticated"
		room := keptText
		for _, g := range who.Groups {
			if room -= len(g); room < 0 {
				n.Groups = append(n.Groups, "…")
				break
			}
			n.Groups = append(n.Groups, g)
		}
	case who.Identity != "":
		n.Identity = cut(short(who.Identity), keptName)
	}
	own := ""
	if who.Authenticated {
		own = who.Identity
	}
	n.Key, n.Explanation = cut(shorten(n.Key, own), keptText), cut(shorten(n.Explanation, own), keptText)
	if c.Policy == nil { // it is no bucket of the settings, so it may be anything
		n.Bucket = shorten(n.Bucket, own)
	}
	n.Bucket = cut(n.Bucket, keptName)
	n.Rule, n.Nearest = cut(ruleAt(c.Decision.Rule), keptText), cut(ruleAt(c.Decision.Nearest), keptText)
	return n
}

// ruleAt returns a rule and where it stands.
func ruleAt(r *access.Rule) string {
	if r == nil {
		return ""
	}
	if r.Pos == "" {
		return r.String()
	}
	return r.String() + " (" + r.Pos + ")"
}

// short returns the beginning of an identity id, enough to know it by.
func short(id string) string {
	region, uuid, ok := strings.Cut(id, ":")
	if !ok || len(uuid) < 8 {
		return "…"
	}
	return region + ":" + uuid[:8] + "…"
}

// uuids are what ends identity ids, however a client may have written them. What
// stands before it, a region and a colon, is no secret.
var uuids = regexp.MustCompile(`(?i)([0-9a-f]{8})(?:(?:-|%(?:25)*2d)[0-9a-f]{4}){3}(?:-|%(?:25)*2d)[0-9a-f]{12}`)

// shorten cuts short, in any text, what may be the id of a guest: whoever knows all
// of it can be that guest. It leaves own, the id of a caller who is signed in.
func shorten(text, own string) string {
	_, own, _ = strings.Cut(own, ":")
	return uuids.ReplaceAllStringFunc(text, func(id string) string {
		if id == own {
			return id
		}
		return id[:8] + "…"
	})
}

// cut returns at most about n bytes of text.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}

// reason is what a caller whom the rules deny something is told of them: nothing,
// but for operators, and for those whom dev mode is for.
func (s *Server) reason(c *s3api.Caller, d *gate.Denied) string {
	guest := c.Subject.Function == "" && !c.Subject.Authenticated
	if !c.Operator && !(s.dev && guest) && !s.isDevUser(context.Background(), &c.Subject) {
		return ""
	}
	return oneLine(explain(d.Check))
}

// isDevUser reports whether this is dev mode, and the subject a user whom it made.
func (s *Server) isDevUser(ctx context.Context, who *access.Subject) bool {
	// With another primary issuer, Sub is not the id of a user of the built-in pool.
	if !s.dev || !who.Authenticated || who.Function != "" || who.Sub == "" || s.cfg.Primary != "" {
		return false
	}
	users, err := s.users.ListUsers(ctx, &userpool.ListOptions{Dev: true})
	return err == nil && slices.ContainsFunc(users, func(u *userpool.User) bool { return u.Sub == who.Sub })
}

// refuse answers that who sent r may not.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if e, ok := errors.AsType[*sigv4.Error](err); ok {
		writeError(w, http.StatusForbidden, e.Code, e.Message)
		return
	}
	if e, ok := errors.AsType[*s3api.Error](err); ok {
		writeError(w, http.StatusServiceUnavailable, e.Code, e.Message)
		return
	}
	s.log.ErrorContext(r.Context(), "request failed", "path", shorten(r.URL.EscapedPath(), ""), "error", err)
	writeError(w, http.StatusInternalServerError, "InternalError", "The server has a fault.")
}

// writeError answers as S3 does, so that its clients can tell what was wrong.
func writeError(w http.ResponseWriter, status int, code, message string) {
	text, err := xml.Marshal(struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
	}{Code: code, Message: message})
	if err != nil { // which texts cannot cause
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	w.Write(text)
}
