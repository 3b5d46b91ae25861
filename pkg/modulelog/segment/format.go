// Package segment is the format of a module's log on disk, and its writer.
//
// A generation of a module has one folder. In it are segments, 0.log, 1.log, 2.log and so on: a segment is only ever
// appended to, is never renamed, and its number is never used again, so that a reader cannot lose its place. The
// oldest go when there are too many. Beside them is the file "lock", on which the logger holds a flock(2) while it lives.
//
// A segment is lines in the format of the Kubernetes container runtime interface (CRI), with a time stamp of fixed width:
//
//	2026-11-22T01:20:25.698701355Z stdout F text
//
// F ends a line. P is a piece: one of exactly [MaxText] bytes is continued by the next line of the same stream; a
// shorter one is the end of a stream that did not finish its last line. Time stamps never decrease within a segment.
// What a module writes comes after the 40 bytes of the header and ends at its first newline, so that no text can
// pass for a header.
//
// The package is linked into the logger, of which there is one for every module, and so it imports next to nothing.
package segment

const (
	// StampLen is the length of a time stamp: RFC 3339 in UTC, always with nine digits of fraction.
	StampLen = 30
	// HeaderLen is the length of what precedes the text: time stamp, stream, flag, and a space after each.
	HeaderLen = 40
	// MaxText is the longest text of one line, in bytes, its newline not counted. It is Docker's limit as well.
	MaxText = 16 << 10
	// MaxLine is the longest line of a segment, in bytes, its newline included.
	MaxLine = HeaderLen + MaxText + 1
	// DefaultMaxSize is the size of a segment, in bytes, when nobody says another.
	DefaultMaxSize = 10 << 20
	// DefaultMaxFile is the number of segments that are kept when nobody says another.
	DefaultMaxFile = 3
	// LockName is the file in a generation's folder that the logger holds a flock(2) on.
	LockName = "lock"
)

// Stream says which of a module's two outputs a line came from. The values are those of Docker's stream framing.
type Stream uint8

// The two streams.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// The flags of a line.
const (
	full  = 'F'
	piece = 'P'
)

// The eight bytes between time stamp and flag, as little-endian words: one comparison a line instead of eight.
const (
	stdoutWord = ' ' | 's'<<8 | 't'<<16 | 'd'<<24 | 'o'<<32 | 'u'<<40 | 't'<<48 | ' '<<56
	stderrWord = ' ' | 's'<<8 | 't'<<16 | 'd'<<24 | 'e'<<32 | 'r'<<40 | 'r'<<48 | ' '<<56
)

// The shape of a time stamp: 0 stands for any digit.
const stampShape = "0000-00-00T00:00:00.000000000Z"

func word(b []byte) uint64 {
	_ = b[7]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

// Header reads the header of a line. It is false for what is no line of ours: what a killed logger or a bad disk left.
// It looks at the fixed bytes alone, the digits are [ValidStamp]'s.
func Header(line []byte) (s Stream, partial, ok bool) {
	if len(line) < HeaderLen {
		return 0, false, false
	}
	switch word(line[StampLen:]) {
	case stdoutWord:
		s = Stdout
	case stderrWord:
		s = Stderr
	default:
		return 0, false, false
	}
	flag := line[HeaderLen-2]
	if line[10] != 'T' || line[StampLen-1] != 'Z' || line[HeaderLen-1] != ' ' || flag != full && flag != piece {
		return 0, false, false
	}
	return s, flag == piece, true
}

// Ends says whether a line ends with this piece of it.
func Ends(partial bool, textLen int) bool { return !partial || textLen != MaxText }

// ValidStamp says whether b begins with a time stamp of the fixed shape.
func ValidStamp(b []byte) bool { return len(b) >= StampLen && shaped(b[:StampLen]) }

// TornHeader says whether b, which is shorter than a header, is how one begins. A logger that was killed in the middle
// of a write leaves it; it holds nothing that the module wrote. The empty line is one.
func TornHeader(b []byte) bool {
	if len(b) <= StampLen {
		return shaped(b)
	}
	if len(b) >= HeaderLen || !shaped(b[:StampLen]) {
		return false
	}
	rest := string(b[StampLen:])
	for _, whole := range [...]string{" stdout F ", " stdout P ", " stderr F ", " stderr P "} {
		if whole[:len(rest)] == rest {
			return true
		}
	}
	return false
}

func shaped(b []byte) bool {
	for i, c := range b {
		if want := stampShape[i]; want == '0' {
			if c < '0' || c > '9' {
				return false
			}
		} else if c != want {
			return false
		}
	}
	return true
}

// minNano is the first time that is written, in nanoseconds since 1970.
const minNano = 0

// PutStamp writes the time stamp of a Unix time in nanoseconds into the first [StampLen] bytes of b.
// Times before 1970 become 1970: a clock that says so is not set.
func PutStamp(b []byte, unixNano int64) {
	unixNano = max(unixNano, minNano)
	_ = b[StampLen-1]
	sec, nano := unixNano/1e9, unixNano%1e9
	days, rest := sec/86400, sec%86400
	year, month, day := civil(days)
	copy(b, stampShape)
	digits(b[0:4], year)
	digits(b[5:7], month)
	digits(b[8:10], day)
	digits(b[11:13], rest/3600)
	digits(b[14:16], rest/60%60)
	digits(b[17:19], rest%60)
	digits(b[20:29], nano)
}

func digits(b []byte, v int64) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
}

// civil turns days since 1970-01-01 into a date of the Gregorian calendar. The year is counted from March, so that the
// leap day is its last, in eras of 400 years, which are all equally long.
func civil(days int64) (year, month, day int64) {
	days += 719468 // 1970-01-01 from 0000-03-01
	era := days / 146097
	ofEra := days % 146097
	yearOfEra := (ofEra - ofEra/1460 + ofEra/36524 - ofEra/146096) / 365
	ofYear := ofEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	fromMarch := (5*ofYear + 2) / 153
	day = ofYear - (153*fromMarch+2)/5 + 1
	month = fromMarch + 3
	year = yearOfEra + era*400
	if month > 12 {
		month -= 12
		year++
	}
	return year, month, day
}

const suffix = ".log"

// Name is the file name of the segment with this number.
func Name(seq int64) string { return itoa(seq) + suffix }

// ParseName reads a segment's number from its file name. It is false for every other name, and for other spellings of
// a number: "00.log" is no segment.
func ParseName(name string) (seq int64, ok bool) {
	if len(name) <= len(suffix) || name[len(name)-len(suffix):] != suffix {
		return 0, false
	}
	return ParseNumber(name[:len(name)-len(suffix)])
}

// ParseNumber reads a number that is not negative, has at most 18 digits and no leading zero.
func ParseNumber(s string) (n int64, ok bool) {
	if s == "" || len(s) > 18 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

func itoa(n int64) string {
	var b [20]byte
	i := len(b)
	for {
		i--
		b[i] = byte('0' + n%10)
		if n /= 10; n == 0 {
			return string(b[i:])
		}
	}
}
