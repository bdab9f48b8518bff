package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// check is one test of a suite that we did not write. It is a process of its own.
type check struct {
	suite, name string
	area        string
	args        func(*target) []string
	env         func(*target) []string
}

func (c *check) String() string { return c.suite + "/" + c.name }

// target is a server that is tested, and who may do everything there.
type target struct {
	endpoint    string // over HTTP
	tls         string // host and port of the same over TLS, or ""
	key, secret string
	client      *s3.Client
	stop        func() error
}

// workers are as many servers, each of which runs one test at a time: the tests
// give their buckets the same names.
const workers = 2

// conformance runs suites for S3 servers, each test against a server without
// other buckets, and fails if one fails that is not left out by a file.
//
// $CUBBY_E2E_SERVERS may hold the URLs of other servers, to compare with: then they
// are tested, with the keys in $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY, and
// may fail. $CUBBY_E2E_TESTS is a regular expression that chooses tests, also such
// as are left out; $CUBBY_E2E_REPORT is a file for what each test said.
func conformance(ctx context.Context, bin, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	folder := filepath.Join("e2e", "conformance")
	out, err := leftOut(filepath.Join(folder, "leftout.txt"))
	if err != nil {
		return err
	}
	checks, err := suites(ctx, folder, dir)
	if err != nil {
		return err
	}
	for name := range out {
		if !slices.ContainsFunc(checks, func(c *check) bool { return c.String() == name }) {
			return fmt.Errorf("leftout.txt: there is no test %s", name)
		}
	}
	targets, others, err := targets(ctx, bin, dir)
	if err != nil {
		return err
	}
	defer func() {
		for _, t := range targets {
			t.stop()
		}
	}()
	chosen := checks
	if only := os.Getenv("CUBBY_E2E_TESTS"); only != "" {
		re, err := regexp.Compile(only)
		if err != nil {
			return err
		}
		out = nil
		chosen = slices.DeleteFunc(slices.Clone(checks), func(c *check) bool { return !re.MatchString(c.String()) })
	}
	report := report{areas: map[string]*tally{}}
	if name := os.Getenv("CUBBY_E2E_REPORT"); name != "" {
		if report.file, err = os.Create(name); err != nil {
			return err
		}
		defer report.file.Close()
	}
	report.runAll(ctx, targets, chosen, out)
	report.print()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case report.failed > 0 && !others:
		return fmt.Errorf("%d tests failed", report.failed)
	}
	return nil
}

// leftOut reads the file that names the tests which do not count, and why.
func leftOut(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	reasons, out := map[string]bool{}, map[string]string{}
	for n, line := range strings.Split(string(text), "\n") {
		first, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		word, isReason := strings.CutSuffix(first, ":")
		rest = strings.TrimSpace(rest)
		switch {
		case first == "" || first == "#":
		case isReason && rest != "":
			reasons[word] = true
		case !reasons[rest] || out[first] != "":
			return nil, fmt.Errorf("%s: line %d is neither WORD: REASON nor SUITE/TEST WORD, or names a test twice", file, n+1)
		default:
			out[first] = rest
		}
	}
	return out, nil
}

// suites builds the suites, and returns all of their tests.
func suites(ctx context.Context, folder, dir string) ([]*check, error) {
	a, err := versitygw(ctx, filepath.Join(folder, "versitygw"), dir)
	if err != nil {
		return nil, err
	}
	b, err := minioGo(ctx, filepath.Join(folder, "minio-go"), dir)
	return append(a, b...), err
}

var subcommand = regexp.MustCompile(`(?m)^ +(\w+) .*Runs \w+ integration test$`)

// versioned finds the tests that leave versions behind, which they remove themselves
// if they are told to.
var versioned = regexp.MustCompile(`^Versioning_|^ListObjectVersions_|BucketVersioning_`)

// versitygw builds the tests that are part of versitygw, and lists them.
func versitygw(ctx context.Context, folder, dir string) ([]*check, error) {
	tool := filepath.Join(dir, "versitygw")
	build := exec.CommandContext(ctx, "go", "build", "-o", tool, "github.com/versity/versitygw/cmd/versitygw")
	build.Dir = folder
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	help, err := exec.CommandContext(ctx, tool, "test", "--help").Output()
	if err != nil {
		return nil, err
	}
	var checks []*check
	for _, m := range subcommand.FindAllStringSubmatch(string(help), -1) {
		name := m[1]
		checks = append(checks, &check{
			suite: "versitygw", name: name, area: area(name),
			args: func(t *target) []string {
				args := []string{tool, "test", "--allow-insecure", "--access", t.key, "--secret", t.secret, "--endpoint", t.endpoint, name}
				if versioned.MatchString(name) {
					args = append(args, "--versioning-enabled")
				}
				return args
			},
		})
	}
	if len(checks) < 1000 {
		return nil, fmt.Errorf("versitygw lists %d tests only", len(checks))
	}
	slices.SortFunc(checks, func(a, b *check) int { return strings.Compare(a.name, b.name) })
	return checks, nil
}

// areas are what tests are counted by, and expressions for their names, of which
// the first that fits counts.
var areas = []struct {
	name string
	re   *regexp.Regexp
}{
	{"IAM", regexp.MustCompile(`IAM`)},
	{"encryption", regexp.MustCompile(`SSE|Encrypt`)},
	{"website", regexp.MustCompile(`(?i)website`)},
	{"ACL, policy, ownership", regexp.MustCompile(`(?i)acl|policy_|Policy|Ownership|AccessControl|PublicBucket|PublicAccess|Principal`)},
	{"object lock", regexp.MustCompile(`(?i)lock|Retention|Legal|WORM|retain`)},
	{"versioning", regexp.MustCompile(`(?i)version`)},
	{"POST object", regexp.MustCompile(`^PostObject|PostPolicy`)},
	{"CORS", regexp.MustCompile(`(?i)cors|OPTIONS`)},
	{"signatures", regexp.MustCompile(`^Authentication`)},
	{"presigning", regexp.MustCompile(`(?i)presign`)},
	{"chunked uploads", regexp.MustCompile(`Streamin`)},
	{"tagging", regexp.MustCompile(`Tagging`)},
	{"checksums", regexp.MustCompile(`(?i)checksum`)},
	{"multipart", regexp.MustCompile(`(?i)multipart|Part|Compose`)},
	{"listing", regexp.MustCompile(`List`)},
	{"other settings of buckets", regexp.MustCompile(`Configuration|BucketLogging|RequestPayment|Replication|Encryption|Notification`)},
	{"buckets", regexp.MustCompile(`Bucket`)},
	{"copying", regexp.MustCompile(`Copy`)},
}

func area(name string) string {
	for _, a := range areas {
		if a.re.MatchString(name) {
			return a.name
		}
	}
	return "objects"
}

// targets starts the servers to test, unless the environment names others.
func targets(ctx context.Context, bin, dir string) (list []*target, others bool, err error) {
	defer func() {
		for _, t := range list {
			t.client = s3.New(s3.Options{
				Region: "us-east-1", BaseEndpoint: &t.endpoint, UsePathStyle: true, RetryMaxAttempts: 1,
				HTTPClient:  &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}},
				Credentials: credentials.NewStaticCredentialsProvider(t.key, t.secret, ""),
			})
		}
	}()
	if urls := strings.Fields(os.Getenv("CUBBY_E2E_SERVERS")); len(urls) > 0 {
		for _, u := range urls {
			address, ok := strings.CutPrefix(u, "https://")
			if !ok {
				address = ""
			}
			list = append(list, &target{
				endpoint: u, tls: address, key: os.Getenv("AWS_ACCESS_KEY_ID"), secret: os.Getenv("AWS_SECRET_ACCESS_KEY"),
				stop: func() error { return nil },
			})
		}
		return list, true, nil
	}
	_, cert, key, err := certificate(dir)
	if err != nil {
		return nil, false, err
	}
	for n := range workers {
		data := filepath.Join(dir, fmt.Sprint("data", n))
		p, err := start(ctx, bin, "serve", "--json", "--data", data, "--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
		if err != nil {
			return list, false, err
		}
		t := &target{stop: p.stop}
		list = append(list, t)
		var server struct {
			Endpoint    string
			EndpointTLS string `json:"endpoint_tls"`
		}
		if err := json.Unmarshal(p.json, &server); err != nil {
			return list, false, err
		}
		t.endpoint, t.tls = server.Endpoint, strings.TrimPrefix(server.EndpointTLS, "https://")
		out, err := exec.CommandContext(ctx, bin, "keys", "add", "conformance", "--data", data, "--json").Output()
		if err != nil {
			return list, false, err
		}
		var keys struct {
			ID     string `json:"access_key_id"`
			Secret string `json:"secret_access_key"`
		}
		if err := json.Unmarshal(out, &keys); err != nil {
			return list, false, err
		}
		t.key, t.secret = keys.ID, keys.Secret
	}
	return list, false, nil
}

// tally counts the tests of an area.
type tally struct{ run, passed, out int }

// report is what came of the tests.
type report struct {
	mu     sync.Mutex
	areas  map[string]*tally
	file   *os.File // or nil
	failed int
}

// runAll runs the tests that are not in out on all targets.
func (r *report) runAll(ctx context.Context, targets []*target, checks []*check, out map[string]string) {
	work := make(chan *check)
	var wg sync.WaitGroup
	for _, t := range targets {
		wg.Go(func() {
			keep := t.buckets(ctx)
			for c := range work {
				text, err := t.run(ctx, c)
				r.add(c, text, err)
				t.clean(ctx, keep)
			}
		})
	}
	for _, c := range checks {
		if out[c.String()] != "" {
			r.tally(c).out++
			continue
		}
		select {
		case work <- c:
		case <-ctx.Done():
		}
	}
	close(work)
	wg.Wait()
}

// tally returns the one that c is counted by.
func (r *report) tally(c *check) *tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := c.suite + ": " + c.area
	if r.areas[key] == nil {
		r.areas[key] = new(tally)
	}
	return r.areas[key]
}

func (r *report) add(c *check, text []byte, err error) {
	t := r.tally(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	t.run++
	word := "pass"
	if err == nil {
		t.passed++
	} else {
		word = "FAIL"
		r.failed++
		fmt.Printf("FAIL %s (%v)\n", c, err)
		if r.file == nil {
			fmt.Printf("%s\n", text)
		}
	}
	if r.file != nil {
		fmt.Fprintf(r.file, "%s %s\n", word, c)
		if err != nil {
			fmt.Fprintf(r.file, "\t%v\n\t%s\n", err, strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n\t"))
		}
	}
}

func (r *report) print() {
	var sum tally
	fmt.Printf("%-44s%8s%8s%10s\n", "", "run", "passed", "left out")
	for _, name := range slices.Sorted(maps.Keys(r.areas)) {
		t := r.areas[name]
		fmt.Printf("%-44s%8d%8d%10d\n", name, t.run, t.passed, t.out)
		sum.run, sum.passed, sum.out = sum.run+t.run, sum.passed+t.passed, sum.out+t.out
	}
	fmt.Printf("%-44s%8d%8d%10d\n", "all", sum.run, sum.passed, sum.out)
}

// run runs one test, and returns what it said and whether it passed.
func (t *target) run(ctx context.Context, c *check) ([]byte, error) {
	dir, err := os.MkdirTemp("", "cubby-test")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	args := c.args(t)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	// The tests take settings of AWS from the environment: they get none.
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "AWS_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	if c.env != nil {
		cmd.Env = append(cmd.Env, c.env(t)...)
	}
	out, err := cmd.CombinedOutput()
	if err == nil && failed.Match(out) {
		err = errors.New("it said so")
	}
	return out, err
}

// failed finds what a test says that failed, or that could not be run.
var failed = regexp.MustCompile(`"status":"(FAIL|NA)"|FAIL `)

// buckets returns the names of the buckets there are.
func (t *target) buckets(ctx context.Context) []string {
	out, err := t.client.ListBuckets(ctx, new(s3.ListBucketsInput))
	if err != nil {
		return nil
	}
	var names []string
	for _, b := range out.Buckets {
		names = append(names, *b.Name)
	}
	return names
}

// clean removes what a test has left, as far as it can.
func (t *target) clean(ctx context.Context, keep []string) {
	for _, b := range t.buckets(ctx) {
		if slices.Contains(keep, b) {
			continue
		}
		if _, err := t.client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &b}); err == nil {
			continue
		}
		t.empty(ctx, b)
		if _, err := t.client.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &b}); err != nil {
			fmt.Printf("%s: %v\n", t.endpoint, err)
		}
	}
}

// empty removes what is in a bucket.
func (t *target) empty(ctx context.Context, bucket string) {
	remove := func(key, version *string) {
		t.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: key, VersionId: version})
	}
	objects := s3.NewListObjectsV2Paginator(t.client, &s3.ListObjectsV2Input{Bucket: &bucket})
	for objects.HasMorePages() {
		page, err := objects.NextPage(ctx)
		if err != nil {
			break
		}
		for _, o := range page.Contents {
			remove(o.Key, nil)
		}
	}
	versions := s3.NewListObjectVersionsPaginator(t.client, &s3.ListObjectVersionsInput{Bucket: &bucket})
	for versions.HasMorePages() {
		page, err := versions.NextPage(ctx)
		if err != nil {
			break // where there are no versions
		}
		for _, v := range page.Versions {
			remove(v.Key, v.VersionId)
		}
		for _, v := range page.DeleteMarkers {
			remove(v.Key, v.VersionId)
		}
	}
	uploads := s3.NewListMultipartUploadsPaginator(t.client, &s3.ListMultipartUploadsInput{Bucket: &bucket})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			break
		}
		for _, u := range page.Uploads {
			t.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId})
		}
	}
}
