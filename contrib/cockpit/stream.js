// Answers of edged that go on: events, and logs that follow. They are read from a byte channel of Cockpit's and not by cockpit.http, because
// the bridge of newer Cockpits keeps a thread for each of those until edged says something more, even when nobody listens any longer: a few
// quiet logs, and no request would get through. Asked in HTTP/1.0, an answer is a head and then bytes until the end.
import { Failure, refused, socket, superuser, unreachable } from './edged.js';

const maxHead = 64 << 10;
const headDeadline = 30_000;

// follow asks for a path. begun is called when edged has accepted, data with each piece of the body (Uint8Array), and end once, with a Failure
// or with null when edged had nothing more to say. It returns a function that ends it without a word.
export function follow(path, { headers = {}, begun = () => {}, data, end }) {
    const channel = cockpit.channel({ payload: 'stream', unix: socket, superuser, binary: true });
    let head = new Uint8Array(0);
    let status = 0;
    let ended = false;

    const finish = failure => {
        if (ended)
            return;
        ended = true;
        window.clearTimeout(deadline);
        channel.close();
        end(failure);
    };
    const deadline = window.setTimeout(() => finish(unreachable('timeout')), headDeadline);
    const collect = bytes => {
        const all = new Uint8Array(head.length + bytes.length);
        all.set(head);
        all.set(bytes, head.length);
        head = all;
    };

    channel.addEventListener('message', (_event, bytes) => {
        if (ended)
            return;
        if (status >= 200 && status <= 299) {
            data(bytes);
            return;
        }
        if (head.length < maxHead)
            collect(bytes);
        if (status !== 0)
            return;
        const at = headEnd(head);
        if (at < 0) {
            if (head.length >= maxHead)
                finish(new Failure('edged sent an answer that is no HTTP.'));
            return;
        }
        status = Number(/^HTTP\/1\.[01] (\d{3}) /.exec(latin(head.subarray(0, at)))?.[1] ?? 0);
        head = head.slice(at + 4);
        if (status === 0) {
            finish(new Failure('edged sent an answer that is no HTTP.'));
        } else if (status >= 200 && status <= 299) {
            window.clearTimeout(deadline);
            begun();
            if (head.length > 0)
                data(head);
        }
    });
    channel.addEventListener('close', (_event, options) => {
        if (options.problem)
            finish(unreachable(options.problem, options.message));
        else if (status >= 200 && status <= 299)
            finish(null);
        else if (status !== 0)
            finish(refused(status, '', new TextDecoder().decode(head)));
        else
            finish(unreachable('disconnected'));
    });
    const lines = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
    channel.send(new TextEncoder().encode(`GET ${path} HTTP/1.0\r\n${lines.join('')}\r\n`));
    return () => {
        ended = true;
        window.clearTimeout(deadline);
        channel.close();
    };
}

// headEnd is where the empty line begins that ends a head, or -1.
function headEnd(bytes) {
    for (let i = 3; i < bytes.length; i++) {
        if (bytes[i] === 10 && bytes[i - 1] === 13 && bytes[i - 2] === 10 && bytes[i - 3] === 13)
            return i - 3;
    }
    return -1;
}

const latin = bytes => new TextDecoder('latin1').decode(bytes);
