// The packages that were brought to the device.
import { Notice, ask, attempt, button } from './act.js';
import { el, fill, row, table } from './dom.js';
import { request } from './edged.js';
import { moment, printable, size } from './text.js';

const reads = 'view_cluster_modules';
const changes = 'update_cluster';

// packages shows them all.
export function packages() {
    const notice = new Notice();
    const content = el('div', {});
    const load = async () => {
        try {
            const all = await request('GET', '/v1/modules');
            notice.clear();
            fill(content, all.length > 0 ? list(all) : el('p', { class: 'empty' }, 'No package was brought to this device. edgectl packages push brings one.'));
        } catch (failure) {
            notice.show(failure, reads, failure.forbidden ? null : load);
        }
    };
    const list = all => table('Packages', ['Name', 'Version', 'Image', 'Size', 'Since', 'Actions'],
                              all.map(one)).element;
    const one = p => {
        const name = printable(p.display_name || p.module_name);
        const own = new Notice();
        const facts = p.edged ?? {};
        const remove = button('Remove', async () => {
            if (!await ask(`Remove the package ${name} ${printable(p.semantic_version)} from this device?`, 'Remove'))
                return;
            if (await attempt(own, changes, `${name} was removed`, () => request('DELETE', '/v1/modules/' + encodeURIComponent(p.uid))))
                await load();
        }, { name: `Remove ${name}`, kind: 'danger' });
        return row(
            ['Name', name, p.description ? el('span', { class: 'small' }, printable(p.description)) : null],
            ['Version', printable(p.semantic_version)],
            ['Image', facts.image ? el('code', {}, printable(facts.image)) : printable(facts.image_pending) || 'none'],
            ['Size', size(facts.size)],
            ['Since', moment(facts.created)],
            ['Actions', el('div', { class: 'actions' }, remove), own.element]);
    };
    const element = el('section', { 'aria-labelledby': 'packages' },
                       el('div', { class: 'bar' }, el('h2', { id: 'packages' }, 'Packages'), button('Refresh', load)),
                       notice.element, content);
    load();
    return { element, back: load };
}
