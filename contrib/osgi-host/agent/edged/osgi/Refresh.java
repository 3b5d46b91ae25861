package edged.osgi;

import java.util.Collection;
import java.util.concurrent.CountDownLatch;

import org.osgi.framework.Bundle;
import org.osgi.framework.FrameworkEvent;
import org.osgi.framework.wiring.FrameworkWiring;

/** A refresh that is over when it returns; the framework does it in a thread of its own. */
final class Refresh {
    private Refresh() {
    }

    /** Refreshes the bundles and what depends on them; null: all that a refresh is pending for. */
    static void of(FrameworkWiring wiring, Collection<Bundle> bundles) throws InterruptedException {
        CountDownLatch over = new CountDownLatch(1);
        wiring.refreshBundles(bundles, event -> {
            if (event.getType() == FrameworkEvent.PACKAGES_REFRESHED) {
                over.countDown();
            }
        });
        over.await();
    }
}
