package outputs

// passwordless is how a format calls the ways to sign in without a password.
type passwordless struct {
	email, sms, preferred, webAuthn, party, verification string
}

var (
	outputsPasswordless = passwordless{
		"email_otp_enabled", "sms_otp_enabled", "preferred_challenge", "web_authn", "relying_party_id", "user_verification",
	}
	resourcePasswordless = passwordless{
		"emailOtpEnabled", "smsOtpEnabled", "preferredChallenge", "webAuthn", "relyingPartyId", "userVerification",
	}
)

func (r *reader) passwordless(n node, names passwordless) *Passwordless {
	p := &Passwordless{
		EmailOTP:  r.flag(n, names.email, false),
		SMSOTP:    r.flag(n, names.sms, false),
		Preferred: r.choice(n, names.preferred, challengeWords...),
	}
	if w, ok := r.sub(n, names.webAuthn); ok {
		p.WebAuthn = &WebAuthn{
			RelyingPartyID:   r.optional(w, names.party),
			UserVerification: r.choice(w, names.verification, "required", "preferred"),
		}
	}
	return p
}

func (names passwordless) write(p *Passwordless) *value {
	v := newObject()
	v.set(names.email, newFlag(p.EmailOTP))
	v.set(names.sms, newFlag(p.SMSOTP))
	if p.WebAuthn != nil {
		w := newObject()
		w.setText(names.party, p.WebAuthn.RelyingPartyID)
		w.setText(names.verification, p.WebAuthn.UserVerification)
		v.set(names.webAuthn, w)
	}
	v.setText(names.preferred, p.Preferred)
	return v
}
