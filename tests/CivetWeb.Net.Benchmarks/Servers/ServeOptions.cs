namespace CivetWeb.Net.Benchmarks.Servers;

/// <summary>What a server under load is told.</summary>
/// <param name="Connections">How many clients will come.</param>
/// <param name="Certificate">A PEM file with certificate and key; null: no TLS.</param>
internal sealed record ServeOptions(int Connections = 64, string? Certificate = null)
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
                _ => throw reader.Unknown(),
            };
        }

        return options;
    }
}
