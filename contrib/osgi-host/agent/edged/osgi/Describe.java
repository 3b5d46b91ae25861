package edged.osgi;

import java.util.LinkedHashMap;
import java.util.Map;

import org.osgi.framework.Bundle;
import org.osgi.framework.Constants;
import org.osgi.framework.startlevel.BundleStartLevel;

/** A bundle as edged is told of it. */
final class Describe {
    private final Digests digests;

    Describe(Digests digests) {
        this.digests = digests;
    }

    Map<String, Object> bundle(Bundle bundle) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("id", bundle.getBundleId());
        all.put("location", bundle.getLocation());
        all.put("symbolicName", bundle.getSymbolicName());
        all.put("version", bundle.getVersion().toString());
        all.put("state", state(bundle.getState()));
        startLevel(bundle, all);
        all.put("fragment", header(bundle, Constants.FRAGMENT_HOST) != null);
        String digest = digests.of(bundle);
        if (digest != null) {
            all.put("digest", digest);
        }
        String policy = header(bundle, Constants.BUNDLE_ACTIVATIONPOLICY);
        all.put("lazy", policy != null && policy.strip().startsWith(Constants.ACTIVATION_LAZY));
        return all;
    }

    private static void startLevel(Bundle bundle, Map<String, Object> all) {
        boolean persistent = false;
        int level = 0;
        try {
            BundleStartLevel start = bundle.adapt(BundleStartLevel.class);
            if (start != null) {
                persistent = start.isPersistentlyStarted();
                level = start.getStartLevel();
            }
        } catch (IllegalStateException e) {
            // It was uninstalled meanwhile, and has neither.
        }
        all.put("persistent", persistent);
        all.put("startLevel", level);
    }

    /** A header as it stands in the manifest: without a locale nothing is looked up in the bundle. */
    private static String header(Bundle bundle, String name) {
        return bundle.getHeaders("").get(name);
    }

    private static String state(int state) {
        return switch (state) {
            case Bundle.INSTALLED -> "INSTALLED";
            case Bundle.RESOLVED -> "RESOLVED";
            case Bundle.STARTING -> "STARTING";
            case Bundle.STOPPING -> "STOPPING";
            case Bundle.ACTIVE -> "ACTIVE";
            default -> "UNINSTALLED";
        };
    }
}
