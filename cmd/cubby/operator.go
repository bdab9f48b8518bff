package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/cubby-storage/cubby"
	"github.com/cubby-storage/cubby/outputs"
	"github.com/cubby-storage/cubby/server"
	"github.com/cubby-storage/cubby/store/s3store"
)

// answerSize is how long the answer of a server to an operator may be.
const answerSize = 64 << 20

// errNotOperator is the error of who is no operator.
var errNotOperator = &hinted{
	fmt.Errorf("only operators may ask that: %w", fs.ErrPermission),
	`"cubby keys add" makes a key, where the server is. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to it.`,
}

// operatorKeys returns the credentials to ask as an operator with, and whether they are
// those of the environment rather than of a session.
func (a *app) operatorKeys(ctx context.Context) (keys s3store.Credentials, given bool, err error) {
	keys = s3store.Credentials{
		AccessKeyID: a.getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: a.getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: a.getenv("AWS_SESSION_TOKEN"),
	}
	switch {
	case keys.AccessKeyID != "" && keys.SecretAccessKey == "":
		return keys, true, &hinted{fmt.Errorf("AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is missing: %w", fs.ErrPermission), errNotOperator.hint}
	case keys.AccessKeyID != "":
		return keys, true, nil
	case a.signedIn() == "":
		return keys, false, errNotOperator
	}
	client, err := a.client(ctx)
	if err == nil {
		keys, err = client.Credentials(ctx)
	}
	return keys, false, err
}

// askOperator reads a document of the server that only operators may read, or with POST
// has the server do something. The answer is decoded into v.
func (a *app) askOperator(ctx context.Context, method, name string, query url.Values, v any) error {
	endpoint, err := a.server()
	if err != nil {
		return err
	}
	keys, given, err := a.operatorKeys(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, endpoint+"/.well-known/cubby/"+name+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return err
	}
	empty := sha256.Sum256(nil)
	hash := hex.EncodeToString(empty[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	err = signer.SignHTTP(ctx, aws.Credentials{
		AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.SessionToken,
	}, req, hash, "s3", server.DefaultRegion, time.Now())
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, answerSize)
	if resp.StatusCode == http.StatusOK {
		return json.NewDecoder(body).Decode(v)
	}
	var said struct{ Code, Message string }
	if err := xml.NewDecoder(body).Decode(&said); err != nil {
		return fmt.Errorf("%s does not know such a document: %s", endpoint, resp.Status)
	}
	return operatorError(endpoint, resp.StatusCode, said.Code, said.Message, given)
}

// operatorError is what a server answered with.
func operatorError(endpoint string, status int, code, message string, given bool) error {
	switch {
	case code == "AccessDenied":
		return errNotOperator
	case given && (code == "InvalidAccessKeyId" || code == "SignatureDoesNotMatch"):
		return &hinted{fmt.Errorf("the key in AWS_ACCESS_KEY_ID is not one of %s: %w", endpoint, fs.ErrPermission), errNotOperator.hint}
	}
	cause := map[int]error{
		http.StatusNotFound: fs.ErrNotExist, http.StatusConflict: fs.ErrExist, http.StatusBadRequest: fs.ErrInvalid,
		http.StatusForbidden: fs.ErrPermission, http.StatusNotImplemented: errors.ErrUnsupported,
	}[status]
	if cause == nil {
		return fmt.Errorf("%s: %s", code, message)
	}
	return &refusal{message, cause}
}

// refusal is an error in the words of a server.
type refusal struct {
	message string
	cause   error
}

func (r *refusal) Error() string { return r.message }
func (r *refusal) Unwrap() error { return r.cause }

// pollEvery is how often a server is asked whether it has done something.
const pollEvery = 300 * time.Millisecond

// haveDone has the server do something long, tells progress, and returns what came of it.
func haveDone[T any](ctx context.Context, a *app, name string, query url.Values, progress func(done, total int64)) (*T, error) {
	var j server.Job[T]
	err := a.askOperator(ctx, http.MethodPost, name, query, &j)
	started := j.Started
	for err == nil && j.Running && j.Started.Equal(started) {
		t := time.NewTimer(pollEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		case <-t.C:
		}
		j = server.Job[T]{}
		if err = a.askOperator(ctx, http.MethodGet, name, nil, &j); err == nil && progress != nil && j.Total > 0 {
			progress(j.Done, j.Total)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !j.Started.Equal(started):
		return nil, errors.New("somebody has started another one since: ask again")
	case j.Result == nil:
		return nil, errors.New(j.Error)
	}
	return j.Result, nil
}

// askRunning reports whether what cannot be done beside a server, as err says, is to be
// asked of it: where an operator's key and its URL are given. Else it says what to do.
func (a *app) askRunning(ctx context.Context, data string, err error) (bool, error) {
	if !errors.Is(err, server.ErrRunning) {
		return false, err
	}
	named := a.endpoint != "" || a.getenv("CUBBY_ENDPOINT") != ""
	if !named || a.getenv("AWS_ACCESS_KEY_ID") == "" {
		return false, &hinted{err, `Stop the server first. Or ask it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a
key that "cubby keys add" makes, and --endpoint to its URL.`}
	}
	other, otherErr := a.isOther(ctx, data)
	if otherErr != nil {
		return false, otherErr
	}
	if other {
		return false, &hinted{err, "A server runs on this directory, but not the one at --endpoint."}
	}
	return true, nil
}

// isOther reports whether the server that the command is for is known to be another than
// that of the data directory.
func (a *app) isOther(ctx context.Context, data string) (bool, error) {
	f, err := os.Open(filepath.Join(data, "amplify_outputs.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	own, err := outputs.Read(f)
	if err != nil {
		return false, err
	}
	endpoint, err := a.server()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	theirs, err := cubby.Discover(ctx, endpoint, nil)
	if err != nil {
		return false, err
	}
	return own.Auth == nil || theirs.Auth == nil || own.Auth.IdentityPoolID != theirs.Auth.IdentityPoolID, nil
}
