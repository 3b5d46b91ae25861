// Log frames: eight bytes of head (1 standard output, 2 standard error; three zeros; the length, big-endian) and then so many bytes. They are
// asked for by name, so it is the same whichever framing the device is configured to send by default.

export const multiplexed = 'application/vnd.docker.multiplexed-stream';

const maxLine = 16 << 10;

// Lines turns frames into lines: take(bytes) gives [{ text, error }], text without its newline. A line longer than 16 Ki characters is cut there and
// goes on in the next.
export class Lines {
    constructor() {
        this.head = new Uint8Array(8);
        this.have = 0;
        this.left = 0;
        this.streams = {};
    }

    take(bytes) {
        const out = [];
        let at = 0;
        while (at < bytes.length) {
            if (this.left === 0) {
                this.head[this.have++] = bytes[at++];
                if (this.have === 8) {
                    this.have = 0;
                    this.left = new DataView(this.head.buffer).getUint32(4);
                }
                continue;
            }
            const piece = bytes.subarray(at, at + this.left);
            at += piece.length;
            this.left -= piece.length;
            this.#text(this.head[0] === 2, piece, out);
        }
        return out;
    }

    #text(error, piece, out) {
        const key = error ? 'error' : 'output';
        const s = this.streams[key] ??= { decoder: new TextDecoder(), rest: '' };
        const parts = (s.rest + s.decoder.decode(piece, { stream: true })).split('\n');
        s.rest = parts.pop();
        while (s.rest.length > maxLine) {
            parts.push(s.rest.slice(0, maxLine));
            s.rest = s.rest.slice(maxLine);
        }
        for (const text of parts)
            out.push({ text, error });
    }
}
