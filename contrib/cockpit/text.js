// Words and numbers as people read them.

const quoted = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\v': '\\v', '\f': '\\f', '\b': '\\b', '\x07': '\\a' };

// Characters that are not seen, that turn the direction of writing, or that nobody has given a meaning.
const unseen = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}]/gu;

// printable shows what others wrote for what it is, as edgectl does: a character that hides, moves or turns text is written out.
export function printable(text, keep = '') {
    return String(text ?? '').replace(unseen, c => {
        if (keep.includes(c))
            return c;
        const code = c.codePointAt(0);
        return quoted[c] ?? (code < 0x80
            ? '\\x' + code.toString(16).padStart(2, '0')
            : code > 0xffff ? '\\U' + code.toString(16).padStart(8, '0') : '\\u' + code.toString(16).padStart(4, '0'));
    });
}

// size is bytes in the units of memory and disks.
export function size(bytes) {
    if (!Number.isFinite(bytes))
        return '';
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
    let i = 0;
    for (; bytes >= 1024 && i < units.length - 1; i++)
        bytes /= 1024;
    return `${bytes.toFixed(i > 0 && bytes < 10 ? 1 : 0)} ${units[i]}`;
}

// span is a time in seconds, in its two biggest units.
export function span(seconds) {
    const parts = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
    let rest = Math.max(0, Math.floor(seconds));
    const words = [];
    for (const [unit, length] of parts) {
        const n = Math.floor(rest / length);
        rest -= n * length;
        if (n > 0 || (unit === 's' && words.length === 0))
            words.push(`${n} ${unit}`);
        if (words.length === 2)
            break;
    }
    return words.join(' ');
}

// moment is a time of edged's as the user's place has it.
export function moment(rfc3339) {
    const at = new Date(rfc3339);
    return Number.isNaN(at.getTime()) ? '' : at.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}
