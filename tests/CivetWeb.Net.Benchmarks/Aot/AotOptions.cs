namespace CivetWeb.Net.Benchmarks.Aot;

/// <summary>The command line of aot.</summary>
/// <param name="Repeat">How many starts are measured.</param>
internal sealed record AotOptions(int Repeat = 20)
{
    public static AotOptions Parse(string[] arguments)
    {
        var options = new AotOptions();
        var reader = new ArgumentReader(arguments);
        while (reader.MoveNext())
        {
            options = reader.Name == "--repeat" ? options with { Repeat = (int)reader.Number(1) } : throw reader.Unknown();
        }

        return options;
    }
}
