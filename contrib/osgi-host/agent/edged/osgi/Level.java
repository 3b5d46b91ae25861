package edged.osgi;

import java.util.concurrent.CountDownLatch;

import org.osgi.framework.FrameworkEvent;
import org.osgi.framework.launch.Framework;
import org.osgi.framework.startlevel.FrameworkStartLevel;

/** A change of the framework's start level that is over when it returns; the framework does it in a thread of its own. */
final class Level {
    private Level() {
    }

    static void set(Framework framework, long level) throws InterruptedException {
        if (level < 1 || level > Integer.MAX_VALUE) {
            throw new IllegalArgumentException("there is no level " + level);
        }
        CountDownLatch over = new CountDownLatch(1);
        framework.adapt(FrameworkStartLevel.class).setStartLevel((int) level, event -> {
            if (event.getType() == FrameworkEvent.STARTLEVEL_CHANGED) {
                over.countDown();
            }
        });
        over.await();
    }
}
