import java.sql.DriverManager;

/** Arguments: JDBC's address of a database, and statements that are run one after the other. */
public class Sql {
  public static void main(String[] args) throws Exception {
    try (var connection = DriverManager.getConnection(args[0]); var statement = connection.createStatement()) {
      for (int i = 1; i < args.length; i++) statement.execute(args[i]);
    }
  }
}
