package edged.osgi;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.BundleException;
import org.osgi.framework.launch.Framework;
import org.osgi.framework.startlevel.BundleStartLevel;
import org.osgi.framework.wiring.FrameworkWiring;

/**
 * The host's own bundles, files of the image below a folder that names their start level. A framework has a name in a version once, so one of them gives way
 * to a bundle of edged's with the same, and comes back when that goes.
 */
final class HostBundles {
    /** What the locations of the host's own bundles begin with. */
    static final String LOCATION = "host:";

    private final BundleContext context;
    private final FrameworkWiring wiring;
    private final Digests digests;
    private final Map<String, Own> all = new LinkedHashMap<>();
    /** Names that operations under way have asked for, once for each. */
    private final List<String> reserved = new ArrayList<>();

    /** One of the host's own. */
    private record Own(Path file, String identity, int level, String digest) {

        String location() {
            return LOCATION + file.getFileName();
        }
    }

    HostBundles(Path folder, Path notes, Framework framework) throws IOException {
        context = framework.getBundleContext();
        wiring = framework.adapt(FrameworkWiring.class);
        digests = Digests.open(notes, context);
        for (Path level : sorted(folder)) {
            for (Path file : sorted(level)) {
                Own own = new Own(file, Identity.of(file), Integer.parseInt(level.getFileName().toString()), Spool.digest(file));
                all.put(own.location(), own);
            }
        }
    }

    /** Makes the framework have each of the host's own whose name nobody else has or has asked for, from the image's bytes, and no other. */
    synchronized void settle() {
        Set<String> taken = new HashSet<>(reserved);
        for (Bundle bundle : context.getBundles()) {
            if (bundle.getLocation().startsWith(LOCATION)) {
                if (!all.containsKey(bundle.getLocation())) {
                    tryTo("uninstall", bundle.getLocation(), () -> uninstall(bundle));
                }
            } else {
                taken.add(Identity.of(bundle));
            }
        }
        List<Bundle> toStart = new ArrayList<>();
        for (Own own : all.values()) {
            Bundle there = context.getBundle(own.location());
            if (taken.contains(own.identity())) {
                if (there != null) {
                    tryTo("uninstall", own.location(), () -> uninstall(there));
                }
            } else if (there == null || !own.digest().equals(digests.of(there))) {
                tryTo("install", own.location(), () -> toStart.add(install(own, there)));
            }
        }
        // Together at the end: the one may need the other.
        for (Bundle bundle : toStart) {
            if (bundle.getHeaders("").get("Fragment-Host") == null) {
                tryTo("start", bundle.getLocation(), () -> bundle.start(Bundle.START_ACTIVATION_POLICY));
            }
        }
    }

    /** Makes room for the bundle in a file, until the place is closed. */
    synchronized Place giveWay(Path file) throws BundleException, IOException {
        String identity = Identity.of(file);
        Place place = new Place(identity);
        reserved.add(identity);
        try {
            for (Own own : all.values()) {
                Bundle there = context.getBundle(own.location());
                if (there != null && own.identity().equals(identity)) {
                    uninstall(there);
                    place.gone = there;
                }
            }
        } catch (BundleException | IOException | RuntimeException e) {
            reserved.remove(identity);
            throw e;
        }
        return place;
    }

    /** The room for one bundle while it is installed. */
    final class Place implements AutoCloseable {
        private final String identity;
        private Bundle gone;

        private Place(String identity) {
            this.identity = identity;
        }

        /** Lets what used the host's own use the bundle that has its place now. Called without a lock: bundles are stopped and started by this. */
        void taken() throws InterruptedException {
            if (gone != null) {
                Refresh.of(wiring, List.of(gone));
            }
        }

        @Override
        public void close() {
            synchronized (HostBundles.this) {
                reserved.remove(identity);
                settle();
            }
        }
    }

    private Bundle install(Own own, Bundle there) throws BundleException, IOException {
        Bundle bundle = there;
        try (InputStream in = Files.newInputStream(own.file())) {
            if (there == null) {
                bundle = context.installBundle(own.location(), in);
            } else {
                digests.remove(there);
                there.update(in);
            }
        }
        bundle.adapt(BundleStartLevel.class).setStartLevel(own.level());
        digests.put(bundle, own.digest());
        return bundle;
    }

    private void uninstall(Bundle bundle) throws BundleException, IOException {
        digests.remove(bundle);
        bundle.uninstall();
    }

    /** Without one of them the host is worth less, but edged's bundles may need none: what fails is said, and the host goes on. */
    private static void tryTo(String what, String location, Step step) {
        try {
            step.run();
        } catch (Exception | LinkageError e) {
            Log.say("cannot " + what + " " + location + ": " + Failure.text(e));
        }
    }

    private interface Step {
        void run() throws Exception;
    }

    private static Set<Path> sorted(Path folder) throws IOException {
        Set<Path> files = new TreeSet<>();
        if (Files.isDirectory(folder)) {
            try (DirectoryStream<Path> found = Files.newDirectoryStream(folder)) {
                found.forEach(files::add);
            }
        }
        return files;
    }
}
