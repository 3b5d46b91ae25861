package edged.osgi;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON (RFC 8259) of one line: objects are Map, arrays List, whole numbers that fit Long, other numbers Double, and true, false and null what they are.
 * A library would be larger than the agent. The line is bounded by who reads it, the depth here.
 */
final class JsonReader {
    private static final int DEEPEST = 32;

    private final String text;
    private int at;

    private JsonReader(String text) {
        this.text = text;
    }

    /** Reads the one value of the text; IllegalArgumentException tells what is wrong with it and where. */
    static Object read(String text) {
        JsonReader reader = new JsonReader(text);
        Object value = reader.value(0);
        reader.space();
        if (reader.at < text.length()) {
            throw reader.wrong("something follows the value");
        }
        return value;
    }

    private Object value(int depth) {
        space();
        if (depth > DEEPEST) {
            throw wrong("nested too deeply");
        }
        switch (peek()) {
            case '{':
                return object(depth);
            case '[':
                return array(depth);
            case '"':
                return string();
            case 't':
                return word("true", Boolean.TRUE);
            case 'f':
                return word("false", Boolean.FALSE);
            case 'n':
                return word("null", null);
            default:
                return number();
        }
    }

    private Map<String, Object> object(int depth) {
        Map<String, Object> all = new LinkedHashMap<>();
        at++;
        space();
        if (taken('}')) {
            return all;
        }
        do {
            space();
            if (peek() != '"') {
                throw wrong("a member's name is expected");
            }
            String name = string();
            space();
            if (!taken(':')) {
                throw wrong("a colon is expected");
            }
            if (all.containsKey(name)) {
                throw wrong("a member is there twice");
            }
            all.put(name, value(depth + 1));
            space();
        } while (taken(','));
        if (!taken('}')) {
            throw wrong("the end of an object is expected");
        }
        return all;
    }

    private List<Object> array(int depth) {
        List<Object> all = new ArrayList<>();
        at++;
        space();
        if (taken(']')) {
            return all;
        }
        do {
            all.add(value(depth + 1));
            space();
        } while (taken(','));
        if (!taken(']')) {
            throw wrong("the end of an array is expected");
        }
        return all;
    }

    private String string() {
        StringBuilder all = new StringBuilder();
        at++;
        while (true) {
            char c = peek();
            if (c < ' ') {
                throw wrong("a string does not end");
            }
            at++;
            if (c == '"') {
                return all.toString();
            }
            all.append(c == '\\' ? escaped() : c);
        }
    }

    private char escaped() {
        char c = peek();
        at++;
        switch (c) {
            case '"', '\\', '/':
                return c;
            case 'b':
                return '\b';
            case 'f':
                return '\f';
            case 'n':
                return '\n';
            case 'r':
                return '\r';
            case 't':
                return '\t';
            case 'u':
                int code = 0;
                for (int i = 0; i < 4; i++, at++) {
                    int digit = peek() < 128 ? Character.digit(peek(), 16) : -1;
                    if (digit < 0) {
                        throw wrong("four hexadecimal digits are expected");
                    }
                    code = code << 4 | digit;
                }
                return (char) code;
            default:
                throw wrong("an unknown escape");
        }
    }

    private Object word(String word, Object value) {
        if (!text.startsWith(word, at)) {
            throw wrong("a value is expected");
        }
        at += word.length();
        return value;
    }

    private Object number() {
        int from = at;
        boolean whole = true;
        taken('-');
        if (!taken('0')) {
            digits();
        }
        if (taken('.')) {
            whole = false;
            digits();
        }
        if (taken('e') || taken('E')) {
            whole = false;
            if (!taken('+')) {
                taken('-');
            }
            digits();
        }
        String number = text.substring(from, at);
        if (whole && number.length() < 19) {
            return Long.valueOf(number);
        }
        return Double.valueOf(number);
    }

    private void digits() {
        int from = at;
        while (peek() >= '0' && peek() <= '9') {
            at++;
        }
        if (at == from) {
            throw wrong("a value is expected");
        }
    }

    private void space() {
        while (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n') {
            at++;
        }
    }

    /** The next character; NUL, which stands nowhere in JSON, is the end. */
    private char peek() {
        return at < text.length() ? text.charAt(at) : 0;
    }

    private boolean taken(char c) {
        if (peek() != c) {
            return false;
        }
        at++;
        return true;
    }

    private IllegalArgumentException wrong(String what) {
        return new IllegalArgumentException("cannot read JSON: " + what + " at character " + at);
    }
}
