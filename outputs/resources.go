package outputs

import (
	"fmt"
	"slices"
	"strings"
)

// localTesting is where clients with the flag for local tests look for S3.
const localTesting = "http://localhost:20005"

const localFlag = "dangerouslyConnectToHttpEndpointForTesting"

// pair is a word of amplify_outputs.json, and the one that another format has for it.
type pair struct{ ours, theirs string }

// theirs returns the word of the other format.
func theirs(pairs []pair, word string) (string, bool) {
	i := slices.IndexFunc(pairs, func(p pair) bool { return p.ours == word })
	if i < 0 {
		return "", false
	}
	return pairs[i].theirs, true
}

// ours returns the word of amplify_outputs.json.
func ours(pairs []pair, word string) (string, bool) {
	i := slices.IndexFunc(pairs, func(p pair) bool { return p.theirs == word })
	if i < 0 {
		return "", false
	}
	return pairs[i].ours, true
}

var (
	resourceProviders = []pair{{"GOOGLE", "Google"}, {"FACEBOOK", "Facebook"}, {"LOGIN_WITH_AMAZON", "Amazon"}, {"SIGN_IN_WITH_APPLE", "Apple"}}
	resourceMFA       = []pair{{"NONE", "off"}, {"OPTIONAL", "optional"}, {"REQUIRED", "on"}}
)

// resources reads the object that Amplify.configure takes.
func (r *reader) resources(n node) *Outputs {
	r.object(n)
	o := new(Outputs)
	if a, ok := r.frame(n, "Auth"); ok {
		if c, ok := r.sub(a, "Cognito"); ok {
			o.Auth = r.resourcesAuth(c, o)
		} else {
			r.lint(a, "has no Cognito, which aws-amplify 6 wants")
		}
	}
	if s, ok := r.frame(n, "Storage"); ok {
		if s3, ok := r.sub(s, "S3"); ok {
			o.Storage = r.resourcesStorage(s3, o)
		} else {
			r.lint(s, "has no S3, which aws-amplify 6 wants")
		}
	}
	return o
}

func (r *reader) resourcesAuth(n node, o *Outputs) *Auth {
	a := &Auth{
		UserPoolID:         r.optional(n, "userPoolId"),
		UserPoolClientID:   r.optional(n, "userPoolClientId"),
		IdentityPoolID:     r.optional(n, "identityPoolId"),
		Guests:             r.flag(n, "allowGuestAccess", false),
		Groups:             r.groups(n),
		SignUpVerification: r.choice(n, "signUpVerificationMethod", "code", "link"),
	}
	user, _ := r.look(n, "userPoolId")
	id, _ := r.look(n, "identityPoolId")
	r.pools(a, user, id)
	if s := r.endpoint(n, "identityPoolEndpoint"); s != "" {
		o.cubby().IdentityPoolEndpoint = s
	}
	if s := r.endpoint(n, "userPoolEndpoint"); s != "" {
		o.cubby().UserPoolEndpoint = s
	}
	if l, ok := r.frame(n, "loginWith"); ok {
		r.resourcesLogin(l, a)
	}
	if u, ok := r.sub(n, "userAttributes"); ok {
		a.RequiredAttributes = []string{}
		for _, f := range u.value.fields {
			// One that is not required is none that the model has.
			if e, ok := r.sub(u, f.name); ok && len(e.value.fields) == 1 && r.flag(e, "required", false) {
				if !slices.Contains(attributeWords, f.name) {
					r.lint(e, "is no standard attribute")
				}
				a.RequiredAttributes = append(a.RequiredAttributes, f.name)
			} else {
				f.value.read = untouched
			}
		}
	}
	if m, ok := r.frame(n, "mfa"); ok {
		r.resourcesMFA(m, a)
	}
	if p, ok := r.sub(n, "passwordFormat"); ok {
		a.Password = &PasswordPolicy{
			MinLength:        r.whole(p, "minLength"),
			RequireNumbers:   r.flag(p, "requireNumbers", false),
			RequireLowercase: r.flag(p, "requireLowercase", false),
			RequireUppercase: r.flag(p, "requireUppercase", false),
			RequireSymbols:   r.flag(p, "requireSpecialCharacters", false),
		}
	}
	if p, ok := r.sub(n, "passwordless"); ok {
		a.Passwordless = r.passwordless(p, resourcePasswordless)
	}
	return a
}

// resourcesLogin reads loginWith.
func (r *reader) resourcesLogin(n node, a *Auth) {
	for _, p := range loginNames {
		if _, ok := r.look(n, p.theirs); ok && a.UsernameAttributes == nil {
			a.UsernameAttributes = []string{}
		}
		if r.flag(n, p.theirs, false) {
			a.UsernameAttributes = append(a.UsernameAttributes, p.ours)
		}
	}
	h, ok := r.sub(n, "oauth")
	if !ok {
		return
	}
	a.OAuth = &OAuth{
		Domain:   r.optional(h, "domain"),
		Scopes:   r.texts(h, "scopes"),
		SignIn:   r.texts(h, "redirectSignIn"),
		SignOut:  r.texts(h, "redirectSignOut"),
		Response: r.choice(h, "responseType", responseWords...),
	}
	nodes, ok := r.elements(h, "providers")
	if ok {
		a.OAuth.Providers = []string{}
	}
	for _, e := range nodes {
		if e.value.kind == object {
			e.value.read = opened
			a.OAuth.Custom = append(a.OAuth.Custom, r.required(e, "custom"))
			continue
		}
		s := r.text(e)
		word, ok := ours(resourceProviders, s)
		if !ok && e.value.kind == text {
			r.fail(e, "is %q, want Google, Facebook, Amazon, Apple or {custom: NAME}", s)
		}
		a.OAuth.Providers = append(a.OAuth.Providers, word)
	}
}

// loginNames are the ways to name oneself.
var loginNames = []pair{{"email", "email"}, {"phone_number", "phone"}, {"username", "username"}}

func (r *reader) resourcesMFA(n node, a *Auth) {
	if s := r.optional(n, "status"); s != "" {
		word, ok := ours(resourceMFA, s)
		if !ok {
			f, _ := r.look(n, "status")
			r.fail(f, "is %q, want on, off or optional", s)
		}
		a.MFA = word
	}
	for _, p := range methodNames {
		if _, ok := r.look(n, p.theirs); ok && a.MFAMethods == nil {
			a.MFAMethods = []string{}
		}
		if r.flag(n, p.theirs, false) {
			a.MFAMethods = append(a.MFAMethods, p.ours)
		}
	}
}

// methodNames are the second factors.
var methodNames = []pair{{"SMS", "smsEnabled"}, {"TOTP", "totpEnabled"}}

func (r *reader) resourcesStorage(n node, o *Outputs) *Storage {
	s := &Storage{Bucket: r.optional(n, "bucket"), Region: r.optional(n, "region")}
	if s.Bucket == "" {
		r.lint(n, "names no default bucket")
	} else if s.Region == "" {
		r.lint(n, "has no region, and without one nothing can be signed")
	}
	r.localTesting(n, localFlag, o)
	list, ok := r.sub(n, "buckets")
	if !ok {
		return s
	}
	s.Buckets = []Bucket{}
	for _, f := range list.value.fields {
		if f.value.kind == null {
			f.value.read = done
			continue
		}
		e, ok := r.sub(list, f.name)
		if !ok {
			continue
		}
		s.Buckets = append(s.Buckets, Bucket{
			Name: f.name, BucketName: r.required(e, "bucketName"), Region: r.required(e, "region"), Paths: r.paths(e, Version),
		})
	}
	r.defaultBucket(n, s)
	return s
}

// localTesting reads the flag that clients take for localTesting. If endpoints are
// said otherwise, those count.
func (r *reader) localTesting(n node, name string, o *Outputs) {
	f, ok := r.look(n, name)
	if !ok || f.value.text != "true" || o.Custom != nil && o.Custom.Cubby != nil && o.Custom.Cubby.S3Endpoint != "" {
		return
	}
	if r.format != AmplifyV5 {
		r.lint(f, "has no effect since aws-amplify 6.9, which refuses the endpoint")
	}
	f.value.read = done
	o.cubby().S3Endpoint, o.cubby().PathStyle = localTesting, true
}

// local reports whether S3 is where localTesting says.
func (o *Outputs) local() bool {
	return o.Custom != nil && o.Custom.Cubby != nil && o.Custom.Cubby.S3Endpoint == localTesting && o.Custom.Cubby.PathStyle
}

// resources writes the object that Amplify.configure takes, as the library makes
// it from amplify_outputs.json and aws-exports.js.
func (w *writer) resources() *value {
	root := newObject()
	if w.o.Auth != nil {
		auth := newObject()
		auth.set("Cognito", w.resourcesAuth(w.o.Auth))
		root.set("Auth", auth)
	}
	if w.o.Storage != nil {
		storage := newObject()
		storage.set("S3", w.resourcesStorage(w.o.Storage))
		root.set("Storage", storage)
	}
	if w.o.Custom != nil && w.o.Custom.Cubby != nil {
		c := w.o.Custom.Cubby
		said := w.o.local() && w.o.Storage != nil
		if c.S3Endpoint != "" && !said {
			w.warn("custom.cubby.s3_endpoint", "%s has no place for it; name it as customEndpoint in each call", w.format)
		}
		if c.PathStyle && !said {
			w.lost("custom.cubby.path_style")
		}
		if w.o.Auth == nil && c.IdentityPoolEndpoint != "" {
			w.lost("custom.cubby.identity_pool_endpoint")
		}
		if w.o.Auth == nil && c.UserPoolEndpoint != "" {
			w.lost("custom.cubby.user_pool_endpoint")
		}
	}
	w.schema()
	return root
}

// schema warns of what only amplify_outputs.json says about itself.
func (w *writer) schema() {
	if w.o.Schema != "" {
		w.lost("$schema")
	}
}

func (w *writer) resourcesAuth(a *Auth) *value {
	v := newObject()
	v.setText("userPoolId", a.UserPoolID)
	v.setText("userPoolClientId", a.UserPoolClientID)
	v.setText("identityPoolId", a.IdentityPoolID)
	user, _, _ := strings.Cut(a.UserPoolID, "_")
	id, _, _ := strings.Cut(a.IdentityPoolID, ":")
	if said := user; said == "" && id != a.Region || said != "" && said != a.Region {
		w.warn("auth.aws_region", "is %q, and %s takes it from the ids of the pools", a.Region, w.format)
	}
	if w.o.Custom != nil && w.o.Custom.Cubby != nil {
		v.setText("userPoolEndpoint", w.o.Custom.Cubby.UserPoolEndpoint)
		v.setText("identityPoolEndpoint", w.o.Custom.Cubby.IdentityPoolEndpoint)
	}
	v.setTrue("allowGuestAccess", a.Guests)
	v.setText("signUpVerificationMethod", a.SignUpVerification)
	if a.Groups != nil {
		v.set("groups", groupList(a.Groups))
	}
	if p := a.Password; p != nil {
		x := newObject()
		if p.MinLength != 0 {
			x.set("minLength", newNumber(p.MinLength))
		}
		x.set("requireLowercase", newFlag(p.RequireLowercase))
		x.set("requireUppercase", newFlag(p.RequireUppercase))
		x.set("requireNumbers", newFlag(p.RequireNumbers))
		x.set("requireSpecialCharacters", newFlag(p.RequireSymbols))
		v.set("passwordFormat", x)
	}
	if a.MFA != "" || a.MFAMethods != nil {
		v.set("mfa", w.resourcesMFA(a))
	}
	login := newObject()
	if a.OAuth != nil {
		login.set("oauth", w.resourcesOAuth(a.OAuth))
	}
	if a.UsernameAttributes != nil {
		for _, p := range loginNames {
			login.set(p.theirs, newFlag(slices.Contains(a.UsernameAttributes, p.ours)))
		}
	}
	w.others("auth.username_attributes", a.UsernameAttributes, usernameWords...)
	v.setObject("loginWith", login)
	w.resourcesAttributes(v, a)
	if p := a.Passwordless; p != nil {
		v.set("passwordless", resourcePasswordless.write(p))
	}
	return v
}

// others warns of the texts that are none of these words.
func (w *writer) others(path string, texts []string, words ...string) {
	for i, s := range texts {
		if !slices.Contains(words, s) {
			w.warn(fmt.Sprintf("%s[%d]", path, i), "%s has no word for %s", w.format, s)
		}
	}
}

// resourcesAttributes writes userAttributes. Of aws-exports.js the library adds
// those that are verified, as if they were required.
func (w *writer) resourcesAttributes(v *value, a *Auth) {
	required := a.RequiredAttributes
	if w.o.Format == AWSExports || w.o.Format == Configuration {
		required = append(slices.Clone(a.VerificationTypes), required...)
	}
	if a.VerificationTypes != nil {
		w.lost("auth.user_verification_types")
	}
	if a.RequiredAttributes == nil && required == nil {
		return
	}
	x := newObject()
	for _, name := range required {
		if x.find(name) == nil {
			y := newObject()
			y.set("required", newFlag(true))
			x.set(name, y)
		}
	}
	v.set("userAttributes", x)
}

func (w *writer) resourcesMFA(a *Auth) *value {
	v := newObject()
	if a.MFA != "" {
		if word, ok := theirs(resourceMFA, a.MFA); ok {
			v.set("status", newText(word))
		} else {
			w.warn("auth.mfa_configuration", "%s has no word for %s", w.format, a.MFA)
		}
	}
	if a.MFAMethods != nil {
		for _, p := range methodNames {
			v.set(p.theirs, newFlag(slices.Contains(a.MFAMethods, p.ours)))
		}
	}
	w.others("auth.mfa_methods", a.MFAMethods, "SMS", "TOTP")
	return v
}

func (w *writer) resourcesOAuth(h *OAuth) *value {
	v := newObject()
	v.set("domain", newText(h.Domain))
	v.set("redirectSignIn", newList(h.SignIn))
	v.set("redirectSignOut", newList(h.SignOut))
	v.set("responseType", newText(response(h)))
	v.set("scopes", newList(h.Scopes))
	providers := &value{kind: list}
	for i, s := range h.Providers {
		if word, ok := theirs(resourceProviders, s); ok {
			providers.items = append(providers.items, newText(word))
		} else {
			w.warn(fmt.Sprintf("auth.oauth.identity_providers[%d]", i), "%s has no word for %s", w.format, s)
		}
	}
	for _, s := range h.Custom {
		x := newObject()
		x.set("custom", newText(s))
		providers.items = append(providers.items, x)
	}
	v.set("providers", providers)
	return v
}

func (w *writer) resourcesStorage(s *Storage) *value {
	v := newObject()
	v.setText("bucket", s.Bucket)
	v.setText("region", s.Region)
	v.setTrue(localFlag, w.o.local())
	if s.Level != "" {
		w.warn("storage.default_access_level", "%s has no place for it; it is Storage.S3.defaultAccessLevel of the library options", w.format)
	}
	if s.Buckets == nil {
		return v
	}
	buckets := newObject()
	for _, b := range s.Buckets {
		x := newObject()
		x.set("bucketName", newText(b.BucketName))
		x.set("region", newText(b.Region))
		if b.Paths != nil {
			x.set("paths", pathMap(b.Paths, func(string, string) bool { return true }))
		}
		buckets.set(b.Name, x)
	}
	v.set("buckets", buckets)
	return v
}
