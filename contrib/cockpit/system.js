// The device itself: what it is, what is used of it, and whether anything keeps edged from working.
import { Failure, edgectl, request, socket, superuser, versioned } from './edged.js';
import { Notice, button, say } from './act.js';
import { el, facts, fill, row, table } from './dom.js';
import { printable, size, span } from './text.js';

const colours = { ok: 'good', warning: 'warn', error: 'bad', skipped: 'still' };

// system shows it, and checks the device when it is asked to.
export function system() {
    const notice = new Notice();
    const about = el('div', {});
    const load = async () => {
        try {
            const [info, used] = await Promise.all([request('GET', versioned('/systeminfo')), request('GET', versioned('/systeminfo/resources'))]);
            notice.clear();
            fill(about, device(info, used));
        } catch (failure) {
            notice.show(failure, null, failure.forbidden ? null : load);
        }
    };
    const checks = new Checks();
    const element = el('section', { 'aria-labelledby': 'system' },
                       el('div', { class: 'bar' }, el('h2', { id: 'system' }, 'Device'), button('Refresh', load)),
                       notice.element, about, checks.element);
    load();
    return { element, back: load };
}

function device(info, used) {
    const disks = (used.disks ?? []).map(d => [printable(d.name), `${size(d.total_space - d.available_space)} of ${size(d.total_space)} used, ${printable(d.file_system)}`]);
    return [
        facts([
            ['edged', printable(info.version)],
            ['containerd', printable(info.server_version)],
            ['System', printable([info.operating_system, info.operating_system_version].filter(Boolean).join(' ') || info.osType)],
            ['Kernel', printable(info.kernel_release)],
            ['Machine', printable([info.system_vendor, info.product_name].filter(Boolean).join(' '))],
            ['Architecture', printable(info.architecture)],
            ['Virtual', printable(info.virtualized)],
            ['Provisioning', printable(info.provisioning?.type)],
            ['Processors', `${info.cpus}, ${Math.round(used.used_cpu)} % busy`],
            ['Memory', `${size(used.used_ram)} of ${size(used.total_ram)} used`],
            ['Device up for', span(used.host_uptime)],
            ['edged up for', span(used.process_uptime)],
        ]),
        disks.length > 0 && el('h3', {}, 'Disks'),
        disks.length > 0 && facts(disks),
    ];
}

// Checks are edgectl's: edged cannot tell what keeps edged itself from running. It is the one program that this page starts.
class Checks {
    constructor() {
        this.notice = new Notice();
        this.content = el('div', {});
        this.element = el('section', { 'aria-labelledby': 'checks' },
                          el('div', { class: 'bar' }, el('h3', { id: 'checks' }, 'Checks'), button('Check this device', () => this.#run(), { kind: 'primary' })),
                          this.notice.element, this.content);
    }

    async #run() {
        this.notice.clear();
        fill(this.content, el('p', { class: 'empty' }, 'Checking…'));
        try {
            const results = await check();
            const bad = results.filter(r => r.status === 'error' || r.status === 'warning').length;
            const words = bad === 0 ? `All is well: ${results.length} checks.` : `${bad} of ${results.length} checks found something.`;
            say(words);
            // What is wrong comes first, and the order within stays edgectl's.
            const order = ['error', 'warning', 'skipped', 'ok'];
            const sorted = [...results].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
            fill(this.content, el('p', {}, words), table('Checks', ['Check', 'Outcome', 'Found'], sorted.map(one)).element);
        } catch (failure) {
            fill(this.content);
            this.notice.show(failure);
        }
    }
}

function one(r) {
    return row(
        ['Check', printable(r.about), el('span', { class: 'small' }, printable(r.id))],
        ['Outcome', el('span', { class: 'state ' + (colours[r.status] ?? 'warn') }, printable(r.status))],
        ['Found', printable(r.found), r.cure ? el('p', { class: 'cure' }, printable(r.cure)) : null]);
}

// check runs edgectl, whose exit code is not zero when it found an error: it is the output that counts.
function check() {
    return new Promise((resolve, reject) => {
        const read = (output, error) => {
            try {
                resolve(JSON.parse(output));
            } catch {
                reject(new Failure(words(error)));
            }
        };
        cockpit.spawn([edgectl, 'check', '--format', 'json'], { superuser, err: 'message', environ: ['EDGED_HOST=unix://' + socket] })
            .then(output => read(output, null), (error, output) => read(output ?? '', error));
    });
}

function words(error) {
    if (error?.problem === 'not-found')
        return `There is no program ${edgectl} on this device.`;
    return error?.message || error?.problem || 'edgectl gave no answer that can be read.';
}
