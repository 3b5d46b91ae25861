package catalog

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	domain "github.com/edged/edged/pkg/catalog"
	"github.com/edged/edged/pkg/httpapi"
)

// writeError answers with an error as the API has it: what is wrong with each field, or
// {"detail": ...}.
func writeError(w http.ResponseWriter, status int, err error) {
	var invalid *domain.Invalid
	if errors.As(err, &invalid) && invalid.EmptyPatch && !isItem(err) {
		w.Header().Set("Pdc-Warning", fmt.Sprint(invalid.Detail))
	}
	httpapi.WriteJSON(w, status, body(status, err))
}

func isItem(err error) bool {
	var item *domain.ItemError
	return errors.As(err, &item)
}

func body(status int, err error) any {
	var item *domain.ItemError
	if errors.As(err, &item) {
		answer := map[string]any{"detail": detail(body(status, item.Err)), "id_of_invalid_data": item.ID}
		if item.Data != nil {
			answer["invalid_data"] = item.Data
		}
		return answer
	}
	var invalid *domain.Invalid
	if errors.As(err, &invalid) {
		if invalid.Fields != nil {
			return invalid.Fields
		}
		return map[string]any{"detail": invalid.Detail}
	}
	text := httpapi.Message(err)
	var method *httpapi.MethodError
	switch {
	case errors.As(err, &method):
		text = fmt.Sprintf("Method %q not allowed.", method.Method)
	case errors.Is(err, domain.ErrNoPage):
		text = "Invalid page."
	case status == http.StatusNotFound:
		text = "Not found."
	case status == http.StatusForbidden:
		text = "You do not have permission to perform this action."
	}
	return map[string]any{"detail": text}
}

// detail is what an error of one row says, for that of many.
func detail(body any) any {
	if fields, ok := body.(map[string]any); ok {
		if d, ok := fields["detail"]; ok {
			return d
		}
	}
	return body
}

// warn says in a header that a text and its row disagree; nobody is refused for it.
func warn(w http.ResponseWriter, warnings ...string) {
	var said []string
	for _, text := range warnings {
		if text != "" {
			said = append(said, text)
		}
	}
	if len(said) == 0 {
		return
	}
	const most = 3
	more := ""
	if len(said) > most {
		more = fmt.Sprintf("; and %d rows more", len(said)-most)
		said = said[:most]
	}
	// A quoted string (RFC 9110, 5.6.4).
	text := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(strings.Map(visible, strings.Join(said, "; ")+more))
	w.Header().Set("Warning", fmt.Sprintf(`199 edged "%s"`, text))
}

func visible(r rune) rune {
	if r > unicode.MaxASCII || r < ' ' || r == 0x7f {
		return '?'
	}
	return r
}
