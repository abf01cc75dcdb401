namespace CivetWeb.Net.Benchmarks.Allocation;

/// <summary>The command line of alloc.</summary>
/// <param name="Messages">How many are counted for each number.</param>
internal sealed record AllocationOptions(int Messages = 100_000)
{
    public static AllocationOptions Parse(string[] arguments)
    {
        var options = new AllocationOptions();
        var reader = new ArgumentReader(arguments);
        while (reader.MoveNext())
        {
            options = reader.Name == "--messages" ? options with { Messages = (int)reader.Number(1000) } : throw reader.Unknown();
        }

        return options;
    }
}
