namespace CivetWeb.Net.Benchmarks.Servers;

/// <summary>What a server under load is told.</summary>
/// <param name="Connections">How many clients will come.</param>
/// <param name="Certificate">A PEM file with certificate and key; null: no TLS.</param>
/// <param name="Sleep">For how many microseconds each callback or handler blocks before it answers a message.</param>
/// <param name="KeepsThreads">callback and server: connections keep their threads.</param>
internal sealed record ServeOptions(int Connections = 64, string? Certificate = null, int Sleep = 0, bool KeepsThreads = false)
{
    public static ServeOptions Parse(string[] arguments)
    {
        var options = new ServeOptions();
        var reader = new ArgumentReader(arguments);
        while (reader.MoveNext())
        {
            options = reader.Name switch
            {
                "--connections" => options with { Connections = (int)reader.Number(1) },
                "--certificate" => options with { Certificate = reader.Text() },
                "--sleep" => options with { Sleep = (int)reader.Number(0) },
                "--keep-threads" => options with { KeepsThreads = true },
                _ => throw reader.Unknown(),
            };
        }

        return options;
    }
}
