import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Kafka's command-line tools one after another, without a JVM for each. A line of standard input is `ID run main=CLASS args=… input=…`,
 * the answer `ID ok code=N output=…`: arguments with a zero byte between them, input and output in base64. The output is that of both streams.
 */
public class Tools {
  /** Instead of the end of the JVM. */
  static class Ended extends RuntimeException {
    final int code;

    Ended(int code) {
      super("exit " + code, null, false, false);
      this.code = code;
    }
  }

  static ByteArrayOutputStream output = new ByteArrayOutputStream();
  static Integer code;
  /** What a tool does at the end of its JVM: here after its `main`. */
  static final List<Runnable> hooks = new ArrayList<>();

  static String text(String base64) {
    return new String(Base64.getDecoder().decode(base64));
  }

  static String run(Map<String, String> words) throws Exception {
    String args = text(words.get("args"));
    output = new ByteArrayOutputStream();
    code = null;
    hooks.clear();
    System.setIn(new ByteArrayInputStream(Base64.getDecoder().decode(words.get("input"))));
    try {
      Class.forName(words.get("main")).getMethod("main", String[].class).invoke(null, (Object) args.split("\0"));
    } catch (java.lang.reflect.InvocationTargetException thrown) {
      if (!(thrown.getCause() instanceof Ended)) {
        thrown.getCause().printStackTrace(System.err);
        if (code == null) code = 1;
      }
    }
    for (Runnable hook : hooks) hook.run();
    return " code=" + (code == null ? 0 : code) + " output=" + Base64.getEncoder().encodeToString(output.toByteArray());
  }

  static void exit(int status, String message) {
    // Some tools catch what is thrown here, and exit once more.
    if (code == null) code = status;
    throw new Ended(status);
  }

  public static void main(String[] ignored) throws Exception {
    PrintStream answers = System.out;
    var input = new BufferedReader(new InputStreamReader(System.in));
    var both = new PrintStream(new OutputStream() {
      @Override
      public void write(int each) {
        output.write(each);
      }

      @Override
      public void write(byte[] bytes, int from, int count) {
        output.write(bytes, from, count);
      }
    }, true);
    System.setOut(both);
    System.setErr(both);
    Exit.setExitProcedure(Tools::exit);
    Exit.setHaltProcedure(Tools::exit);
    Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
    answers.println("ready release=" + AppInfoParser.getVersion());
    for (String line = input.readLine(); line != null; line = input.readLine()) {
      String[] said = line.split(" ");
      Map<String, String> words = new HashMap<>();
      for (int i = 2; i < said.length; i++) words.put(said[i].split("=", 2)[0], said[i].split("=", 2)[1]);
      try {
        answers.println(said[0] + " ok" + run(words));
      } catch (Exception failure) {
        answers.println(said[0] + " failed " + failure);
      }
    }
  }
}
