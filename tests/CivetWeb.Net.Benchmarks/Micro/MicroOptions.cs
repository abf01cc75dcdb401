using System.IO;

namespace CivetWeb.Net.Benchmarks.Micro;

/// <summary>The command line of micro.</summary>
/// <param name="IsQuick">Fewer and shorter measurements.</param>
/// <param name="Native">Whether the native parts are measured.</param>
/// <param name="Managed">Whether the managed ones are.</param>
internal sealed record MicroOptions(bool IsQuick = false, bool Native = true, bool Managed = true)
{
    public string Output { get; init; } = Path.Combine(Repository.Root, "artifacts", "benchmarks");

    public static MicroOptions Parse(string[] arguments)
    {
        var options = new MicroOptions();
        var reader = new ArgumentReader(arguments);
        while (reader.MoveNext())
        {
            options = reader.Name switch
            {
                "--quick" => options with { IsQuick = true },
                "--native" => options with { Managed = false },
                "--managed" => options with { Native = false },
                "--output" => options with { Output = reader.Text() },
                _ => throw reader.Unknown(),
            };
        }

        return options;
    }
}
