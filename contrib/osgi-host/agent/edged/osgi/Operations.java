package edged.osgi;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.launch.Framework;
import org.osgi.framework.startlevel.BundleStartLevel;
import org.osgi.framework.wiring.BundleWire;
import org.osgi.framework.wiring.BundleWiring;
import org.osgi.framework.wiring.FrameworkWiring;

/** What edged can ask for, each in terms of the framework's own API: it decides, and its exceptions are the answers. */
final class Operations {
    private final Framework framework;
    private final BundleContext context;
    private final FrameworkWiring wiring;
    private final Path storage;
    private final Digests digests;
    private final HostBundles own;
    private final Describe describe;

    Operations(Framework framework, Path storage, Digests digests, HostBundles own, Describe describe) {
        this.framework = framework;
        this.context = framework.getBundleContext();
        this.wiring = framework.adapt(FrameworkWiring.class);
        this.storage = storage;
        this.digests = digests;
        this.own = own;
        this.describe = describe;
    }

    /** Does what is asked for. The bytes are those that came with the request, or null. */
    Object run(Request request, Spool bytes) throws Exception {
        String op = request.string("op");
        return switch (op) {
            case "ping" -> Map.of();
            case "list" -> list();
            case "install" -> install(request.string("location"), needed(bytes));
            case "update" -> update(mine(request, op), needed(bytes));
            case "uninstall" -> uninstall(mine(request, op));
            case "start" -> start(bundle(request.number("bundle")), request.flag("transient"));
            case "stop" -> stop(mine(request, op), request.flag("transient"));
            case "refresh" -> refresh(bundles(request));
            case "resolve" -> Map.of("resolved", wiring.resolveBundles(bundles(request)));
            case "closure" -> ids(wiring.getDependencyClosure(orNone(bundles(request))));
            case "setStartLevel" -> setStartLevel(mine(request, op), request.number("level"));
            case "setFrameworkLevel" -> {
                Level.set(framework, request.number("level"));
                yield Map.of();
            }
            case "wires" -> wires(bundle(request.number("bundle")));
            default -> throw new IllegalArgumentException("the operation " + op + " is not known");
        };
    }

    private List<Object> list() {
        List<Object> all = new ArrayList<>();
        for (Bundle bundle : context.getBundles()) {
            all.add(describe.bundle(bundle));
        }
        return all;
    }

    private Object install(String location, Spool bytes) throws Exception {
        if (location.startsWith(HostBundles.LOCATION) || location.chars().anyMatch(Character::isISOControl)) {
            throw new IllegalArgumentException("the location " + location + " is not for edged's bundles");
        }
        Bundle there = context.getBundle(location);
        if (there != null) {
            return describe.bundle(there);
        }
        long begin = System.currentTimeMillis();
        Bundle bundle;
        try (HostBundles.Place place = own.giveWay(bytes.file()); InputStream in = Files.newInputStream(bytes.file())) {
            bundle = context.installBundle(location, in);
            place.taken();
        }
        note(bundle, bytes.digest(), begin);
        return describe.bundle(bundle);
    }

    private Object update(Bundle bundle, Spool bytes) throws Exception {
        long begin = System.currentTimeMillis();
        String digest = digests.of(bundle);
        digests.remove(bundle);
        long before = bundle.getLastModified();
        try (HostBundles.Place place = own.giveWay(bytes.file()); InputStream in = Files.newInputStream(bytes.file())) {
            bundle.update(in);
            digest = bytes.digest();
            place.taken();
        } finally {
            // A framework that throws may have taken the bytes all the same, as one does whose new activator failed; its own clock tells.
            if (bundle.getLastModified() != before) {
                digest = bytes.digest();
            }
            note(bundle, digest, begin);
        }
        return describe.bundle(bundle);
    }

    /** Notes the digest once the bytes are on the disk. Without the note nothing is wrong but that edged sends them again. */
    private void note(Bundle bundle, String digest, long begin) {
        if (digest == null) {
            return;
        }
        try {
            force(begin);
            digests.put(bundle, digest);
        } catch (IOException e) {
            Log.say("cannot note the digest of bundle " + bundle.getBundleId() + ": " + Failure.text(e));
        }
    }

    private Object uninstall(Bundle bundle) throws Exception {
        return lasting(bundle, () -> {
            digests.remove(bundle);
            bundle.uninstall();
            own.settle();
        });
    }

    private Object start(Bundle bundle, boolean once) throws Exception {
        return lasting(bundle, () -> bundle.start(Bundle.START_ACTIVATION_POLICY | (once ? Bundle.START_TRANSIENT : 0)));
    }

    private Object stop(Bundle bundle, boolean once) throws Exception {
        return lasting(bundle, () -> bundle.stop(once ? Bundle.STOP_TRANSIENT : 0));
    }

    private Object setStartLevel(Bundle bundle, long level) throws Exception {
        if (level > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("level is too high");
        }
        return lasting(bundle, () -> bundle.adapt(BundleStartLevel.class).setStartLevel((int) level));
    }

    /** Makes a change and puts what the framework wrote of it on the disk, before anybody is told: a start that fails leaves its wish as well. */
    private Object lasting(Bundle bundle, Change change) throws Exception {
        long begin = System.currentTimeMillis();
        try {
            change.make();
        } finally {
            try {
                force(begin);
            } catch (IOException e) {
                // The change is made, and an answer that says otherwise would be wrong.
                Log.say("cannot put a change of bundle " + bundle.getBundleId() + " on the disk: " + Failure.text(e));
            }
        }
        return describe.bundle(bundle);
    }

    private interface Change {
        void make() throws Exception;
    }

    private void force(long begin) throws IOException {
        // The clock of files may be a tick behind.
        Folders.force(storage, begin - 100);
    }

    private Object refresh(Collection<Bundle> bundles) throws InterruptedException {
        Refresh.of(wiring, bundles);
        return List.of();
    }

    private Object wires(Bundle bundle) {
        List<Bundle> provides = new ArrayList<>();
        List<Bundle> requires = new ArrayList<>();
        BundleWiring wires = bundle.adapt(BundleWiring.class);
        // There are none of a bundle that is not resolved, or that goes meanwhile.
        List<BundleWire> provided = wires == null ? null : wires.getProvidedWires(null);
        List<BundleWire> required = wires == null ? null : wires.getRequiredWires(null);
        if (provided != null && required != null) {
            provided.forEach(wire -> provides.add(wire.getRequirer().getBundle()));
            required.forEach(wire -> requires.add(wire.getProvider().getBundle()));
        }
        provides.remove(bundle);
        requires.remove(bundle);
        return Map.of("provides", ids(provides), "requires", ids(requires));
    }

    private Collection<Bundle> bundles(Request request) {
        List<Long> ids = request.numbers("bundles");
        if (ids == null) {
            return null;
        }
        List<Bundle> all = new ArrayList<>();
        ids.forEach(id -> all.add(bundle(id)));
        return all;
    }

    /** The bundle of an id, one included that was uninstalled and is in use until a refresh. */
    private Bundle bundle(long id) {
        Bundle bundle = context.getBundle(id);
        if (bundle != null) {
            return bundle;
        }
        for (Bundle pending : wiring.getRemovalPendingBundles()) {
            if (pending.getBundleId() == id) {
                return pending;
            }
        }
        throw new IllegalArgumentException("there is no bundle " + id);
    }

    /** A bundle that edged may change: neither the framework, whose end is the container's, nor one of the host's own. */
    private Bundle mine(Request request, String op) {
        Bundle bundle = bundle(request.number("bundle"));
        if (bundle.getBundleId() == 0 || bundle.getLocation().startsWith(HostBundles.LOCATION)) {
            throw new IllegalArgumentException("cannot " + op + " bundle " + bundle.getBundleId() + ": it is the host's own");
        }
        return bundle;
    }

    private static Spool needed(Spool bytes) throws IOException {
        if (bytes == null) {
            throw new IllegalArgumentException("size is missing");
        }
        if (bytes.failure() != null) {
            throw bytes.failure();
        }
        return bytes;
    }

    private static Collection<Bundle> orNone(Collection<Bundle> bundles) {
        return bundles == null ? List.of() : bundles;
    }

    private static Collection<Long> ids(Collection<Bundle> bundles) {
        Collection<Long> ids = new TreeSet<>();
        bundles.forEach(bundle -> ids.add(bundle.getBundleId()));
        return ids;
    }
}
