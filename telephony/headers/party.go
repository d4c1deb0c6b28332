package headers

import (
	"net/url"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// Party is one side of a call as its messages name it.
type Party struct {
	// Number is the user part without escapes, parameters and the visual separators of a phone number.
	Number string `json:"number"`
	// Name is the display name.
	Name string `json:"name,omitempty"`
	// Host is the domain or address, empty for tel:.
	Host string `json:"host,omitempty"`
	// Asserted says that a trusted network vouched for it (RFC 3325).
	Asserted bool `json:"asserted,omitempty"`
	// Anonymous says that the caller must not be shown (Privacy: id, or the anonymous URI of RFC 3261 §8.1.1.3).
	// Number then may still be known, to the law and the route, not to the agent.
	Anonymous bool `json:"anonymous,omitempty"`
}

// Caller finds who is calling: the first P-Asserted-Identity if the source is trusted, else From. Whoever is not
// trusted can assert nothing.
func Caller(req *sip.Request, trusted bool) Party {
	p := party(req.From().DisplayName, &req.From().Address)
	if trusted {
		for _, v := range List(req, "P-Asserted-Identity") {
			var uri sip.Uri
			name, err := sip.ParseAddressValue(v, &uri, nil)
			if err != nil {
				continue
			}
			asserted := party(name, &uri)
			if asserted.Number == "" {
				continue
			}
			if asserted.Name == "" {
				asserted.Name = p.Name
			}
			asserted.Asserted, asserted.Anonymous = true, false
			p = asserted
			break
		}
	}
	for _, v := range List(req, "Privacy") {
		for _, word := range strings.Split(v, ";") {
			switch strings.ToLower(strings.TrimSpace(word)) {
			case "id", "user", "header":
				p.Anonymous = true
			}
		}
	}
	return p
}

// Called is whom the Request-URI names.
func Called(req *sip.Request) Party { return party("", &req.Recipient) }

func party(name string, uri *sip.Uri) Party {
	p := Party{Name: strings.TrimSpace(unescape(name)), Number: number(uri), Host: uri.Host}
	if strings.EqualFold(p.Number, "anonymous") || strings.EqualFold(uri.Host, "anonymous.invalid") {
		p.Anonymous = true
		p.Number = ""
	}
	if Clean(p.Name) != nil {
		p.Name = ""
	}
	return p
}

// number is the user part of a sip: or the number of a tel: URI.
func number(uri *sip.Uri) string {
	user := uri.User
	if uri.Raw() != "" {
		if uri.Scheme != "tel" {
			return ""
		}
		user = uri.Raw()
	}
	user, _, _ = strings.Cut(user, ";") // ;phone-context=…, ;npdi …
	if plain, err := url.PathUnescape(user); err == nil {
		user = plain
	}
	if Clean(user) != nil {
		return ""
	}
	if digits := strings.Map(separators, user); isNumber(digits) {
		return digits
	}
	return user
}

// separators drops the visual separators of RFC 3966 §5.1.1 and spaces.
func separators(r rune) rune {
	if strings.ContainsRune("-.() ", r) {
		return -1
	}
	return r
}

func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "+")
	for i := range len(s) {
		if strings.IndexByte("0123456789*#", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// Mask hides a number for logs and other places that strangers read: the first three and last two characters stay.
// Extensions, up to five characters, stay whole.
func Mask(number string) string {
	r := []rune(number)
	if len(r) <= 5 {
		return number
	}
	for i := 3; i < len(r)-2; i++ {
		r[i] = '*'
	}
	return string(r)
}
