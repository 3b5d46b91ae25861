package pack

import (
	"strings"
)

// Arguments splits the command line of a module as redis.conf is split: by spaces, and
// what is in single quotes, or in double quotes with \" and \\ in it, is one piece of a word.
func Arguments(line string) ([]string, error) {
	var (
		words []string
		b     strings.Builder
		begun bool
		quote byte
	)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case quote != 0 && c == quote:
			if i+1 < len(line) && !space(line[i+1]) {
				return nil, invalid("its command_line_args have something behind a closing quote")
			}
			quote = 0
		case quote != 0 && c == '\\' && i+1 < len(line) && (line[i+1] == quote || quote == '"' && line[i+1] == '\\'):
			i++
			b.WriteByte(line[i])
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote, begun = c, true
		case space(c):
			if begun {
				words = append(words, b.String())
				b.Reset()
				begun = false
			}
		default:
			b.WriteByte(c)
			begun = true
		}
	}
	if quote != 0 {
		return nil, invalid("its command_line_args have a quote that is not closed")
	}
	if begun {
		words = append(words, b.String())
	}
	return words, nil
}

func space(c byte) bool { return c == ' ' || c == '\t' }
