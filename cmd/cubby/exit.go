package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/access"
	"github.com/cubby-storage/cubby/store"
	"github.com/cubby-storage/cubby/store/s3store"
)

// class is a class of errors. Its number is the exit code.
type class int

const (
	done        class = 0
	failed      class = 1
	misused     class = 2
	missing     class = 3
	denied      class = 4
	conflict    class = 5
	signedOut   class = 6
	unreachable class = 7
	undecided   class = 8
	interrupted class = 130
)

func (c class) String() string {
	switch c {
	case misused:
		return "usage"
	case missing:
		return "not found"
	case denied:
		return "denied"
	case conflict:
		return "conflict"
	case signedOut:
		return "not signed in"
	case unreachable:
		return "unreachable"
	case undecided:
		return "cannot decide"
	case interrupted:
		return "interrupted"
	}
	return "failed"
}

// failure is an error as people and programs are told of it.
type failure struct {
	Message   string `json:"error"`
	Class     string `json:"class"`
	Exit      class  `json:"exit"`
	Hint      string `json:"hint,omitempty"`       // what to do
	Code      string `json:"code,omitempty"`       // of the service, if one refused
	RequestID string `json:"request_id,omitempty"` // by which the service knows it
}

// tell prints err, each of them if it is several, and returns the exit code,
// which is that of the first.
func (a *app) tell(ctx context.Context, err error) class {
	if no, ok := errors.AsType[*answer](err); ok {
		return no.exit
	}
	errs := []error{err}
	if j, ok := err.(several); ok && ctx.Err() == nil {
		errs = j
	}
	var exit class
	for _, err := range errs {
		f := a.explain(ctx, err)
		if a.json {
			enc := json.NewEncoder(a.stderr)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(f) // there is nowhere left to complain
		} else {
			for line := range strings.Lines(f.Message) {
				fmt.Fprintln(a.stderr, "cubby:", printable(strings.TrimSuffix(line, "\n")))
			}
			if f.Hint != "" {
				fmt.Fprintln(a.stderr, f.Hint)
			}
			if (f.Exit == denied || f.Code == "EntityTooLarge") && f.RequestID != "" {
				fmt.Fprintln(a.stderr, "An operator can ask: cubby why "+printable(f.RequestID))
			}
		}
		if exit == done {
			exit = f.Exit
		}
	}
	return exit
}

// explain is the one place where errors become words and exit codes.
func (a *app) explain(ctx context.Context, err error) failure {
	if ctx.Err() != nil {
		return failure{Message: "interrupted", Class: interrupted.String(), Exit: interrupted}
	}
	f := failure{Message: plain(err)}
	var said string // by the service
	if s, ok := errors.AsType[*s3store.ServiceError](err); ok {
		f.Code, f.RequestID, said = s.Code, s.RequestID, s.Message
	}
	f.Exit = f.classify(err)
	f.Class = f.Exit.String()
	var op string
	e, ok := errors.AsType[*cubby.Error](err)
	if ok {
		op = strings.TrimSpace(e.Op+" "+e.Path) + ": "
	}
	certificate, distrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch connection, _ := errors.AsType[*net.OpError](err); {
	case f.Exit == misused:
		if u, ok := errors.AsType[*usageError](err); ok {
			f.Hint = `See "` + u.command + ` --help".`
		}
	case ok && e.Op == "discover" && distrusted:
		f.Message = "the certificate of " + e.Path + " is not trusted here: " + certificate.Err.Error()
		f.Hint = "SSL_CERT_FILE names the file of its issuer."
	case ok && e.Op == "discover" && errors.Is(err, http.ErrSchemeMismatch):
		f.Message = "the server at " + e.Path + " speaks HTTP, not HTTPS"
		f.Hint = "Its URL begins with http://."
	case ok && e.Op == "discover":
		f.Message = "there is no Cubby server at " + e.Path + ": " + strings.TrimPrefix(plain(e.Err), "not a Cubby server, ")
		f.Hint = `"cubby dev" starts one. --endpoint or CUBBY_ENDPOINT names another.`
	case ok && f.Exit == unreachable:
		f.Hint = "The connection was lost. Is the server still running?"
	case ok && e.Op == "sign in" && f.Exit == signedOut:
		f.Message = e.Path + " cannot sign in: " + plain(e.Err)
	case f.Exit == signedOut:
		f.Hint = `Sign in with "cubby login NAME".`
		if errors.Is(err, cubby.ErrSessionEnded) {
			f.Message = "your session has ended"
			f.Hint = `Sign in again with "cubby login NAME", or go on as a guest after "cubby logout".`
		}
	case ok && (f.Exit == denied || f.Exit == missing) && misspelt(e.Path) != "":
		f.Message = op + map[class]string{denied: "access denied", missing: "there is no such file"}[f.Exit]
		f.Hint = fmt.Sprintf("%q is no level: they are public, protected and private.", misspelt(e.Path))
	case ok && f.Exit == denied && strings.HasPrefix(said, "Content of this type"):
		f.Message = op + said
		f.Hint = "--content-type says what it is, where the name does not tell."
	case ok && f.Exit == denied:
		if f.Code == "AccessDenied" || f.Code == "Forbidden" {
			f.Message = op + "access denied"
		}
		switch name := a.signedIn(); {
		case name == "":
			f.Hint = `You are a guest, and no rule lets guests do that. Sign in with "cubby login NAME".`
		case e.Op == "upload" || e.Op == "copy":
			f.Hint = "No rule lets " + name + " do that. Your own files go to private:NAME or protected:NAME."
		default:
			f.Hint = "No rule lets " + name + ` do that. "cubby whoami" tells what groups you are in.`
		}
	case ok && errors.Is(err, store.ErrNoBucket):
		f.Message = op + "there is no such bucket"
	case ok && f.Exit == missing:
		f.Message = op + "there is no such file"
	case ok && errors.Is(err, fs.ErrExist):
		f.Message = op + "there is a file already"
		f.Hint = "Without --no-overwrite it is replaced."
	case connection != nil && connection.Op == "listen":
		f.Hint = "--listen ADDR takes another address."
	}
	if h, ok := errors.AsType[*hinted](err); ok {
		f.Hint = h.hint
	}
	return f
}

// classify returns the class of err, whose code is known already.
func (f *failure) classify(err error) class {
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	_, request := errors.AsType[*url.Error](err)
	connection, network := errors.AsType[*net.OpError](err)
	_, use := errors.AsType[*usageError](err)
	e, client := errors.AsType[*cubby.Error](err)
	switch {
	case use:
		return misused
	case errors.Is(err, access.ErrUndecided):
		return undecided
	case client && f.Code == "" && errors.Is(err, fs.ErrInvalid) && e.Op != "discover":
		return misused
	case path, link: // a file on this machine: the server was not asked, or not to blame
		return failed
	case client && e.Op == "discover":
		return unreachable
	case errors.Is(err, cubby.ErrSessionEnded),
		// What nobody refused but the client is what nobody signed in for.
		client && f.Code == "" && errors.Is(err, fs.ErrPermission),
		slices.Contains([]string{
			"NotAuthorizedException", "UserNotFoundException", "UserNotConfirmedException", "PasswordResetRequiredException",
			"InvalidAccessKeyId", "InvalidToken", "ExpiredToken",
		}, f.Code):
		return signedOut
	case errors.Is(err, fs.ErrPermission):
		return denied
	case errors.Is(err, fs.ErrNotExist):
		return missing
	case errors.Is(err, fs.ErrExist), errors.Is(err, store.ErrPrecondition):
		return conflict
	case request, network && connection.Op != "listen":
		return unreachable
	}
	return failed
}

// plain returns what err says without what the program says in words of its own:
// which class of errors it is of.
func plain(err error) string {
	switch e := err.(type) {
	case *cubby.Error:
		return strings.TrimSpace(e.Op+" "+e.Path) + ": " + plain(e.Err)
	case *url.Error:
		return plain(e.Err)
	case *net.OpError:
		if s, ok := errors.AsType[*os.SyscallError](err); ok && e.Op == "dial" {
			return s.Err.Error() // the address is in the message already
		}
	}
	if s, ok := errors.AsType[*s3store.ServiceError](err); ok {
		switch {
		case s.Message == "":
			return s.Code
		case strings.HasSuffix(s.Code, "Exception"): // Cognito's messages are for people
			return s.Message
		}
		return s.Code + ": " + s.Message
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		return plain(u.Err)
	}
	text := err.Error() + "\n"
	for _, cause := range []error{fs.ErrInvalid, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission} {
		if _, path := errors.AsType[*fs.PathError](err); !path && errors.Is(err, cause) {
			text = strings.ReplaceAll(text, ": "+cause.Error()+"\n", "\n")
		}
	}
	return strings.TrimSuffix(text, "\n")
}

// answer is an answer that was printed, and is not the one that is hoped for.
type answer struct{ exit class }

func (a *answer) Error() string { return "the answer is no" }

// usageError is a command that was not understood.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string { return plain(e.err) }
func (e *usageError) Unwrap() error { return e.err }

// hinted is an error for which it is known what to do.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return plain(e.err) }
func (e *hinted) Unwrap() error { return e.err }

// several are errors of several things that were done side by side.
type several []error

func (s several) Error() string   { return errors.Join(s...).Error() }
func (s several) Unwrap() []error { return s }
