// Requests to edged's management socket. Cockpit's bridge makes them, as the user who is signed in, or as root while administrative access is
// on: edged sees who that is, and decides.
import { printable } from './text.js';

const config = cockpit.manifests.edged?.config ?? {};

// socket is where edged listens; an operator who moved it says so in /etc/cockpit/edged.override.json.
export const socket = config.socket ?? '/run/edged/mgmt.sock';

// edgectl is the program for the one thing that edged itself does not do: checking the device.
export const edgectl = config.edgectl ?? 'edgectl';

// superuser: with administrative access as root, else as who is signed in.
export const superuser = 'try';

// Deadlines in milliseconds. Stopping waits for the module, as long as its author wished.
const readDeadline = 30_000;
const changeDeadline = 10 * 60_000;

// Failure is what went wrong, in words for the user. status is edged's, and problem Cockpit's where edged said nothing.
export class Failure extends Error {
    constructor(message, { status = 0, problem = '' } = {}) {
        super(printable(message));
        this.status = status;
        this.problem = problem;
    }

    get forbidden() {
        return this.status === 401 || this.status === 403 || this.problem === 'access-denied';
    }
}

// refused is the failure that an answer of edged's is. Each of its APIs has an error shape of its own.
export function refused(status, reason, body) {
    let message = body.trim();
    try {
        const e = JSON.parse(body);
        message = e.message ?? e.detail ?? message;
        if (e.cause && !message.includes(e.cause))
            message += ': ' + e.cause;
    } catch {
        // It is plain text, as it stands.
    }
    return new Failure(message.slice(0, 2000) || reason || `status ${status}`, { status });
}

// unreachable is the failure of a request that edged did not answer. Bridges have codes of their own for the same; some put the kernel's words
// beside it.
export function unreachable(problem, words = '') {
    if (problem === 'access-denied' || /permission denied/i.test(words))
        return new Failure(`You may not use edged's socket ${socket}. Turn on administrative access, or have yourself made a member of the group edged and sign in anew.`,
                           { problem: 'access-denied' });
    if (problem === 'not-found' || /no such file|connection refused/i.test(words))
        return new Failure(`edged does not answer at ${socket}. Is edged.service running?`, { problem: 'not-found' });
    if (problem === 'timeout')
        return new Failure('edged took too long to answer.', { problem });
    if (problem === 'disconnected' || problem === 'terminated' || !problem)
        return new Failure('edged ended the connection.', { problem: problem || 'terminated' });
    return new Failure(`Cockpit cannot reach edged: ${problem}${words ? ': ' + words : ''}`, { problem });
}

// versioned adds what the management API wants to be told; the other APIs have no such thing.
export function versioned(path, query = {}) {
    return path + '?' + new URLSearchParams({ 'api-version': '2022-08-03', ...query });
}

// request asks edged for something and gives what it answers, as JSON; null for an answer without a body. It fails with a Failure.
export function request(method, path) {
    return new Promise((resolve, reject) => {
        const client = cockpit.http({ unix: socket, superuser });
        const deadline = window.setTimeout(() => client.close('timeout'), method === 'GET' ? readDeadline : changeDeadline);
        const done = () => window.clearTimeout(deadline);
        client.request({ method, path, body: '', headers: { Accept: 'application/json' } }).then(body => {
            done();
            try {
                resolve(body ? JSON.parse(body) : null);
            } catch {
                reject(new Failure('edged sent an answer that is no JSON.'));
            }
        }, (error, body) => {
            done();
            reject(error.problem ? unreachable(error.problem, error.message) : refused(error.status, error.reason, body ?? error.message ?? ''));
        });
    });
}
